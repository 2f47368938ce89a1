"""Tests on several nodes: MPI jobs of ordinary users on a mini cluster.

    /usr/bin/python3 tests/cluster/harness [--quick | --all] [--list] [CASE ...]

CASE is a name, its beginning, or a pattern (quote the *). Ends with
"N passed, N failed, N skipped"; exit status 0 when none failed.
"""
import argparse
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
for place in ("../mini_cluster", "../../mpi/harness"):
    sys.path.append(os.path.realpath(os.path.join(HERE, place)))

# pylint: disable=wrong-import-position
import cases  # noqa: E402
import cases_cluster  # noqa: E402
import cases_nodes  # noqa: E402
import cases_nodes_lost  # noqa: E402
import cases_slurm  # noqa: E402
import clusters  # noqa: E402
import processes  # noqa: E402
import settings  # noqa: E402

MODULES = (cases_cluster, cases_nodes, cases_nodes_lost, cases_slurm)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help="build directory (default: build/dev, then build)")
    parser.add_argument("--quick", action="store_true", help="the shortest selection")
    parser.add_argument("--all", action="store_true", help="every case and every round")
    parser.add_argument("--list", action="store_true", help="only show the names")
    parser.add_argument("--seed", type=int, default=1, help="for the random moments")
    parser.add_argument("--work", help="the shared storage (default: a new one in $TMPDIR)")
    parser.add_argument("--keep", action="store_true", help="keep what jobs of passed cases wrote")
    parser.add_argument("--limit", type=float, help="begin no case after so many seconds")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    build = settings.find_build(options.build)
    tier = "all" if options.all else "quick" if options.quick else "fair"
    for module in MODULES:
        module.register(build, tier)
    if options.list:
        for name, _ in cases.selected(options.cases, tier):
            print(name)
        return 0
    processes.become_subreaper()
    work = os.path.realpath(options.work or tempfile.mkdtemp(prefix="ckpt-cluster-"))
    os.makedirs(work, exist_ok=True)
    os.chmod(work, 0o755)
    made = clusters.begin(work, build)
    print(f"build {build.directory}\nshared storage {work}", flush=True)
    if made.reason:
        print(f"NO CASE CAN RUN HERE: {made.reason}", flush=True)
    try:
        code = cases.run_all(options.cases, tier, build, work, options.seed, options.keep,
                             options.limit)
    finally:
        made.down()
    if code == 0 and not options.work and not options.keep:
        shutil.rmtree(work, ignore_errors=True)
    return code


sys.exit(main())
