"""End-to-end tests: real MPI jobs are checkpointed, killed and restarted.

    /usr/bin/python3 tests/mpi/harness [--quick | --all] [--list] [CASE ...]

CASE is a name, its beginning, or a pattern (quote the *). Ends with
"N passed, N failed, N skipped"; exit status 0 when none failed.
"""
import argparse
import os
import shutil
import sys
import tempfile

import cases
import cases_adversary
import cases_failures
import cases_image
import cases_native
import cases_programs
import cases_restarts
import cases_scenarios
import cases_storage
import cases_user
import processes
import settings


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help="build directory (default: build/dev, then build)")
    parser.add_argument("--quick", action="store_true", help="the shortest selection")
    parser.add_argument("--all", action="store_true", help="every case and every round")
    parser.add_argument("--list", action="store_true", help="only show the names")
    parser.add_argument("--seed", type=int, default=1, help="for the random moments")
    parser.add_argument("--work", help="directory for the jobs (default: a new one in $TMPDIR)")
    parser.add_argument("--keep", action="store_true", help="keep what jobs of passed cases wrote")
    parser.add_argument("--limit", type=float, help="begin no case after so many seconds")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    build = settings.find_build(options.build)
    tier = "all" if options.all else "quick" if options.quick else "fair"
    for module in (cases_native, cases_programs, cases_scenarios, cases_adversary, cases_failures,
                   cases_image, cases_restarts, cases_storage, cases_user):
        module.register(build, tier)
    if options.list:
        for name, _ in cases.selected(options.cases, tier):
            print(name)
        return 0
    processes.become_subreaper()
    work = options.work or tempfile.mkdtemp(prefix="ckpt-tests-")
    os.makedirs(work, exist_ok=True)
    os.chmod(work, 0o755)
    print(f"build {build.directory}\njobs in {work}", flush=True)
    code = cases.run_all(options.cases, tier, build, work, options.seed, options.keep,
                         options.limit)
    if code == 0 and not options.work and not options.keep:
        shutil.rmtree(work, ignore_errors=True)
    return code


sys.exit(main())
