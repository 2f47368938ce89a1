#!/usr/bin/python3 -B
"""Runs spin on checkpoint.pml: cases must hold, broken variants must be caught.

usage: check.py [--list] [--seconds N] [NAME...]   (all whose name begins so)
Exit status: 0 all as expected, 1 not, 77 spin or gcc is not installed.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoint.pml")

# name: definitions, whether an error must be found
CASES = {
    "release": (["CASE_RELEASE"], False),
    "overlap": (["CASE_OVERLAP", "ABORTS=1", "DEATHS=1"], False),
    "takeover": (["CASE_TAKEOVER"], False),
    "broken_level": (["CASE_OVERLAP", "BROKEN_LEVEL"], True),
    "broken_raise": (["CASE_OVERLAP", "BROKEN_RAISE"], True),
    "broken_drain": (["CASE_OVERLAP", "BROKEN_DRAIN"], True),
    "broken_abort": (["CASE_OVERLAP", "ABORTS=1", "BROKEN_ABORT"], True),
    "broken_doors": (["CASE_OVERLAP", "ABORTS=1", "BROKEN_DOORS"], True),
    "broken_fence": (["CASE_TAKEOVER", "BROKEN_FENCE"], True),
    "broken_sweep": (["CASE_TAKEOVER", "BROKEN_SWEEP"], True),
}


def check(name, seconds):
    definitions, must_fail = CASES[name]
    with tempfile.TemporaryDirectory(prefix="ckpt-model-") as folder:
        def run(words, patience):
            return subprocess.run(words, cwd=folder, capture_output=True, text=True,
                                  timeout=patience, check=False)
        made = run(["spin", *("-D" + each for each in definitions), "-a", MODEL], seconds)
        if made.returncode != 0 or "Error" in made.stdout:
            return f"spin: {made.stdout}{made.stderr}"
        built = run(["gcc", "-O1", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=3000", "-o", "pan", "pan.c"],
                    seconds)
        if built.returncode != 0:
            return f"gcc: {built.stderr}"
        said = run(["./pan", "-m300000"], seconds).stdout
    summary = re.search(r"errors: (\d+)", said)
    if summary is None or "max search depth too small" in said or "memory limit" in said:
        return f"the search was not exhaustive:\n{said}"
    errors = int(summary.group(1))
    if must_fail and errors == 0:
        return "what is broken in it was not found"
    if not must_fail and errors != 0:
        return f"does not hold:\n{said}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seconds", type=int, default=840, help="for each step of a case")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    chosen = [name for name in CASES
              if not options.names or any(name.startswith(each) for each in options.names)]
    if options.list:
        print("\n".join(chosen))
        return 0
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        print("spin or gcc is not installed")
        return 77
    failed = 0
    for name in chosen:
        problem = check(name, options.seconds)
        print(f"{name}: {problem or 'as expected'}", flush=True)
        failed += problem is not None
    return 1 if failed or not chosen else 0


sys.exit(main())
