"""The command line of a harness: which cases, on which build, in which directory."""
import argparse
import contextlib
import os
import shutil
import tempfile

import cases
import processes
import settings


def parsed(description):
    parser = argparse.ArgumentParser(description=description,
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
    return parser.parse_args()


@contextlib.contextmanager
def nothing_around(_work, _build):
    yield


def run(description, modules, around=nothing_around):
    """The exit status. `modules` register their cases; `around(work, build)` is a
    context manager that holds what all of them need."""
    options = parsed(description)
    build = settings.find_build(options.build)
    tier = "all" if options.all else "quick" if options.quick else "fair"
    for module in modules:
        module.register(build, tier)
    if options.list:
        for name, _ in cases.selected(options.cases, tier):
            print(name)
        return 0
    processes.become_subreaper()
    work = os.path.realpath(options.work or tempfile.mkdtemp(prefix="ckpt-tests-"))
    os.makedirs(work, exist_ok=True)
    os.chmod(work, 0o755)
    print(f"build {build.directory}\njobs in {work}", flush=True)
    with around(work, build):
        code = cases.run_all(options.cases, tier, build, work, options.seed, options.keep,
                             options.limit)
    if code == 0 and not options.work and not options.keep:
        shutil.rmtree(work, ignore_errors=True)
    return code
