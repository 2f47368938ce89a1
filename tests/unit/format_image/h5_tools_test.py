#!/usr/bin/python3
"""A generation is readable with h5ls, h5dump and h5py, knowing only SCHEMA.md.

Usage: h5_tools_test.py WRITE_SAMPLE (the program that writes the sample)
"""
import ctypes
import ctypes.util
import os
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy

PAGES = 600
BLOCK = 256 * 4096


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{command}: {done.returncode} {done.stderr}")
    return done.stdout


def xxh3_64():
    """XXH3 from the system's library: numpy bytes -> number; None without it."""
    name = ctypes.util.find_library("xxhash")
    if name is None:
        return None
    function = ctypes.CDLL(name).XXH3_64bits
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lambda data: function(data, len(data))


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.whole = os.path.join(cls.directory.name, "gen-000012.h5")
        run(sys.argv[1], cls.whole, "2", str(PAGES))
        os.mkdir(os.path.join(cls.directory.name, "linked"))
        cls.linked = os.path.join(cls.directory.name, "linked", "gen-000012.h5")
        run(sys.argv[1], cls.linked, "4", "3", "linked")

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def test_h5ls(self):
        listed = run("h5ls", "-r", self.whole)
        for line in ("/job/command            Dataset {7}",
                     "/ranks/000001/regions   Dataset {8}",
                     "/ranks/000000/registers Dataset {3}",
                     f"/ranks/000001/pages     Dataset {{{PAGES}, 4096}}"):
            self.assertIn("".join(line.split()), "".join(listed.split()))

    def test_h5ls_follows_links(self):
        listed = run("h5ls", "-rE", self.linked)
        self.assertIn("/ranks/000003/pages", listed)

    def test_h5dump(self):
        header = run("h5dump", "-H", self.whole)
        self.assertIn('"heap"', header)
        self.assertIn('"rip"', header)
        regions = run("h5dump", "-d", "/ranks/000000/regions", self.whole)
        self.assertIn("private_file", regions)
        self.assertIn("rd wr mr mw me ac hg", regions)
        self.assertNotIn("\\000", regions, "padding does not show")

    def test_h5py_reads_the_records(self):
        with h5py.File(self.whole, "r") as file:
            self.assertEqual(file.attrs["format"], b"ckpt-coord generation")
            self.assertEqual(file["job"].attrs["world_size"], 2)
            self.assertEqual(list(file["job/command"][:3]), [b"mpirun", b"-n", b"4"])
            rank = file["ranks/000001"]
            self.assertEqual(rank.attrs["host"], b"node1")
            self.assertEqual(rank["descriptors"]["path"][1], b"/home/user/run/out put")
            self.assertEqual(rank["registers"].dtype.names[16], "rip")
            kinds = h5py.check_enum_dtype(rank["regions"].dtype["kind"])
            self.assertEqual(kinds["shared_anonymous"], 3)

    def test_h5py_reads_the_pages(self):
        with h5py.File(self.whole, "r") as file, open(self.whole, "rb") as raw:
            for rank in file["ranks"].values():
                offset = rank["pages"].id.get_offset()
                self.assertEqual(offset % 4096, 0)
                raw.seek(offset)
                pages = numpy.frombuffer(raw.read(PAGES * 4096), numpy.uint8)
                self.assertTrue((rank["pages"][()].reshape(-1) == pages).all())
        with h5py.File(self.linked, "r") as file:
            self.assertEqual([rank["pages"].shape for rank in file["ranks"].values()],
                             [(3, 4096)] * 4)

    def test_checksums_by_hand(self):
        digest = xxh3_64()
        if digest is None:
            self.skipTest("NOT TESTED: no libxxhash to load")
        with h5py.File(self.whole, "r") as file:
            checked = []

            def check(name, item):
                if isinstance(item, h5py.Dataset) and "xxh3_64" in item.attrs:
                    self.assertEqual(digest(item[()].tobytes()), item.attrs["xxh3_64"], name)
                    checked.append(name)

            file.visititems(check)
            self.assertEqual(len(checked), 2 + 2 * 15)
            for rank in file["ranks"].values():
                pages = rank["pages"][()].tobytes()
                blocks = [digest(pages[at:at + BLOCK]) for at in range(0, len(pages), BLOCK)]
                self.assertEqual(blocks, list(rank["page_checksums"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
