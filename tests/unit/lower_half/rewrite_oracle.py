#!/usr/bin/env python3
"""rewrite_oracle.py CKPT_REWRITE HOST: objdump, another decoder, must agree.

For ckpt-mpi-host, each library it needs and each Open MPI and UCX component:
the rewritten text, laid over the library, must disassemble to what the library
does, with %gs where %fs stood and nothing else changed.
"""
import glob
import os
import re
import struct
import subprocess
import sys
import tempfile

PAGE = 4096
PT_LOAD, PF_X = 1, 1


def disassembly(path):
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], check=True,
                          capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if not line.startswith(path)]


def overlay(library, copy, to):
    data = bytearray(open(library, "rb").read())
    text = open(copy, "rb").read()
    phoff, = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    for i in range(phnum):
        kind, flags, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, phoff + i * phentsize)
        if kind == PT_LOAD and flags & PF_X:
            data[offset:offset + size] = text[offset:offset + size]
    open(to, "wb").write(data)
    return struct.unpack_from("<Q", text, (len(data) + PAGE - 1) // PAGE * PAGE + 24)[0]


def libraries(host):
    listed = subprocess.run(["ldd", host], check=True, capture_output=True, text=True).stdout
    found = {os.path.realpath(p) for p in re.findall(r"/\S+", listed)}
    found.add(os.path.realpath(host))
    root = "/usr/lib/x86_64-linux-gnu"
    for pattern in ("openmpi/lib/openmpi3/*.so", "ucx/*.so", "pmix2/lib/pmix/*.so", "libuc[pstm].so.0"):
        found |= {os.path.realpath(p) for p in glob.glob(f"{root}/{pattern}")}
    return sorted(found)


def check(rewrite, library, folder):
    copy, whole = os.path.join(folder, "copy"), os.path.join(folder, "whole")
    subprocess.run([rewrite, "--library", library, "--copy", copy], check=True)
    counted = overlay(library, copy, whole)
    before, after = disassembly(library), disassembly(whole)
    expected = [re.sub(r"%fs:", "%gs:", line) for line in before]
    if os.path.basename(library).startswith("ld-linux"):
        expected = [line.replace("$0x1002,%edi", "$0x1001,%edi") for line in expected]
    wrong = [(b, a) for b, e, a in zip(before, expected, after) if e != a]
    if len(before) != len(after) or wrong:
        return f"{library}: {len(wrong)} lines differ, the first: {wrong[:1]}"
    in_code = sum("%fs:" in line for line in before)
    return None if counted == in_code else f"{library}: {counted} accesses changed, objdump sees {in_code}"


def main():
    rewrite, host = sys.argv[1:3]
    problems = []
    names = libraries(host)
    with tempfile.TemporaryDirectory() as folder:
        for library in names:
            problem = check(rewrite, library, folder)
            if problem:
                problems.append(problem)
    print("\n".join(problems))
    print(f"{len(names)} libraries, {len(problems)} disagree")
    return 1 if problems else 0


sys.exit(main())
