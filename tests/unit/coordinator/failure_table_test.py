#!/usr/bin/python3 -B
"""The failure table of coordinator/README.md: complete, and its tests exist.

Usage: failure_table_test.py SOURCE"""
import os
import re
import subprocess
import sys

FAILURES = ["rank crash", "agent crash", "agent stopped", "coordinator crash", "mpirun killed",
            "node power-off", "network cut", "storage stalls", "storage full"]


def read(source, path):
    with open(os.path.join(source, path)) as file:
        return file.read()


def cases_of(source):
    """Names of all cases, from the files that register them: no build is needed."""
    names = set()
    script = ("import sys\nfor p in sys.argv[2:]: sys.path.insert(0, p)\n"
              "import cases, importlib\n"
              "for m in sys.argv[1].split(','): importlib.import_module(m).register(None, 'all')\n"
              "print('\\n'.join(n for n, _, _ in cases.REGISTERED))\n")
    mpi = os.path.join(source, "tests/mpi/harness")
    cluster = [mpi, os.path.join(source, "tests/cluster/harness"),
               os.path.join(source, "tests/cluster/mini_cluster")]
    for modules, places in (("cases_failures,cases_storage", [mpi]), ("cases_nodes_lost", cluster)):
        done = subprocess.run([sys.executable, "-B", "-c", script, modules, *places], text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        names.update(done.stdout.split("\n"))
    return names


def main():
    source = sys.argv[1]
    states = re.findall(r"^CKPT_STATE\((\w+),", read(source, "coordinator/checkpoint_fsm/states.def"),
                        re.M)
    readme = read(source, "coordinator/README.md")
    table = readme.split("<!-- failure table begins -->")[1].split("<!-- failure table ends -->")[0]
    known = cases_of(source)
    problems, seen = [], []
    for line in table.strip().split("\n")[2:]:
        failure, listed, _, test = (cell.strip() for cell in line.strip("|").split("|"))
        for state in listed.split(", "):
            seen.append((failure, state))
            name = test.replace("STATE", state)
            if test != "-" and name not in known:
                problems.append(f"{failure} in {state}: there is no case {name}")
    wanted = [(failure, state) for failure in FAILURES for state in states]
    problems += [f"{f} in {s} is not there" for f, s in wanted if (f, s) not in seen]
    problems += [f"{f} in {s} is there twice, or no failure or state" for f, s in set(seen)
                 if seen.count((f, s)) != 1 or (f, s) not in wanted]
    ends = re.findall(r'^CKPT_JOB_END\((\w+), (\w+), "([^"]*)"',
                      read(source, "coordinator/supervision_fsm/job_ends.def"), re.M)
    manual = read(source, "coordinator/man/ckpt-coord.1")
    for name, restarted, when in ends:
        if f"| {name} | {restarted} | {when} |" not in readme:
            problems.append(f"coordinator/README.md has no row of the end {name}")
        if f".It {when}\n" not in manual:
            problems.append(f"the manual page does not tell of the end {name}")
    print("\n".join(problems) or f"{len(seen)} rows, all tested or said not to be")
    return 1 if problems else 0


sys.exit(main())
