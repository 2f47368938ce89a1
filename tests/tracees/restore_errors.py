#!/usr/bin/python3
"""What ckpt-restore-rank says when it cannot restore, and its exit code.

restore_errors.py --parts DIR --snapshot ckpt-snapshot-pid --tracee PROGRAM
PROGRAM is tracee_shared_and_files.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time


def restore(parts, image, rank="0", **variables):
    environment = dict(os.environ, **variables)
    return subprocess.run([os.path.join(parts, "ckpt-restore-rank"), "--image", image, "--rank", rank],
                          env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)


def damage_pages(path):
    """Changes one byte of a page the tracee filled."""
    with open(path, "r+b") as file:
        data = file.read()
        marker = 0x9e3779b97f4a7c15.to_bytes(8, "little")  # first word of its shared file
        at = data.index(marker)
        file.seek(at + 8)
        file.write(b"\x01")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", required=True)
    parser.add_argument("--snapshot", required=True)
    parser.add_argument("--tracee", required=True)
    arguments = parser.parse_args()
    failures = []

    def expect(name, result, code, *words):
        if result.returncode != code or not all(word in result.stdout for word in words):
            failures.append(f"{name}: exit {result.returncode}, wanted {code} {words}: {result.stdout}")

    with tempfile.TemporaryDirectory(prefix="ckpt-errors-") as directory:
        work = os.path.join(directory, "tracee")
        os.mkdir(work)
        image = os.path.join(directory, "gen-000001.h5")
        tracee = subprocess.Popen([arguments.tracee, work], stdout=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL)
        tracee.stdout.readline()
        time.sleep(0.1)
        subprocess.run([arguments.snapshot, str(tracee.pid), image], check=True, stdout=subprocess.DEVNULL)
        tracee.kill()
        tracee.wait()
        append = os.path.join(work, "append")

        expect("no image", restore(arguments.parts, image + ".gone"), 65, "gen-000001.h5.gone")
        expect("no rank", restore(arguments.parts, image, "5"), 65, "5")
        expect("world size", restore(arguments.parts, image, OMPI_COMM_WORLD_SIZE="3"), 65,
               "the job has 1 ranks, mpirun started 3")
        expect("unknown stage", restore(arguments.parts, image, CKPT_FAULT="nowhere"), 66, "nowhere")

        foreign = os.path.join(directory, "foreign.h5")
        with open(foreign, "w", encoding="ascii") as file:
            file.write("not an image\n" * 1000)
        expect("foreign", restore(arguments.parts, foreign), 65, "foreign.h5")

        os.rename(append, append + ".away")
        expect("file gone", restore(arguments.parts, image), 66, "reopen fd", "append", "No such file")
        with open(append, "w", encoding="ascii"):
            pass
        expect("file short", restore(arguments.parts, image), 66, "append", "0 bytes")
        os.rename(append + ".away", append)

        private = os.path.join(work, "private")
        times = os.stat(private)
        os.utime(private)
        expect("file changed", restore(arguments.parts, image), 66, "private", "changed since the checkpoint")
        os.utime(private, ns=(times.st_atime_ns, times.st_mtime_ns))

        # A damaged page: found before a file is cut back.
        with open(append, "a", encoding="ascii") as file:
            file.write("written after the checkpoint\n")
        size = os.stat(append).st_size
        damaged = os.path.join(directory, "damaged.h5")
        shutil.copy(image, damaged)
        damage_pages(damaged)
        expect("damaged", restore(arguments.parts, damaged), 70, "stage contents", "wrong checksum")
        if os.stat(append).st_size != size:
            failures.append("damaged: an output file was cut all the same")

        # And the good image still restores.
        good = subprocess.run([os.path.join(arguments.parts, "ckpt-restore-rank"), "--image", image,
                               "--rank", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        expect("good", good, 0, "good")
    print("\n".join(failures) or "passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
