"""The list of cases and the loop that runs them."""
import fnmatch
import os
import shutil
import sys
import time
import traceback

from job import Wrong
from processes import DeadlinePassed


class Skip(Exception):
    """Cannot be tried here; the reason is shown."""


REGISTERED = []  # (name, tier, function)
TIERS = ("quick", "fair", "all")


def case(name, tier="fair"):
    """Registers a function of one argument, the running Case. `quick` cases are
    in every selection, `fair` ones in a plain run, `all` ones with --all only."""
    assert tier in TIERS

    def register(function):
        REGISTERED.append((name, tier, function))
        return function
    return register


class Case:
    def __init__(self, name, build, directory, seed):
        self.name, self.build, self.seed = name, build, seed
        self.dir = directory
        self.jobs, self.notes = [], []

    def note(self, text):
        self.notes.append(text)


def selected(patterns, tier):
    allowed = TIERS[:TIERS.index(tier) + 1]
    for name, case_tier, function in REGISTERED:
        if patterns:
            if any(fnmatch.fnmatch(name, p) or name.startswith(p) for p in patterns):
                yield name, function
        elif case_tier in allowed:
            yield name, function


class Report:
    def __init__(self, junit=None):
        self.passed, self.failed, self.skipped = 0, [], []

    def line(self, verdict, name, seconds, notes):
        extra = f"  ({'; '.join(notes)})" if notes else ""
        print(f"{verdict:4}  {seconds:6.1f} s  {name}{extra}", flush=True)

    def close(self):
        for name, reason in self.skipped:
            print(f"SKIPPED {name}: {reason}")
        for name, _ in self.failed:
            print(f"FAILED  {name}")
        print(f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped",
              flush=True)
        return 1 if self.failed else 0


def run_one(name, function, build, work, seed, keep, report):
    directory = os.path.join(work, name.replace("/", "_").replace(" ", "_"))
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chmod(directory, 0o755)
    running = Case(name, build, directory, seed)
    begin = time.monotonic()
    problem = None
    try:
        function(running)
    except Skip as skip:
        report.skipped.append((name, str(skip)))
        report.line("SKIP", name, time.monotonic() - begin, [str(skip)])
        return
    except (Wrong, DeadlinePassed) as wrong:
        problem = str(wrong)
        for job in running.jobs:
            text = job.tail(1500) if job.current and job.current.poll() != 0 else ""
            if text and text not in problem:
                problem += f"\n--- {job.name}\n{text}"
    except Exception:
        problem = traceback.format_exc()
    finally:
        for job in running.jobs:
            try:
                job.clean()
            except DeadlinePassed as left:
                problem = f"{problem or ''}\n{left}"
    seconds = time.monotonic() - begin
    if problem is None:
        report.passed += 1
        report.line("ok", name, seconds, running.notes)
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
    else:
        report.failed.append((name, problem))
        report.line("FAIL", name, seconds, running.notes)
        print("\n".join("    " + line for line in problem.splitlines()[:60]), flush=True)
        drop_large_files(directory)


def drop_large_files(directory):
    """Logs of a failed case stay for the reader, gigabytes do not."""
    for top, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(top, name)
            if os.path.isfile(path) and os.path.getsize(path) > 64 << 20:
                os.unlink(path)


def run_all(patterns, tier, build, work, seed, keep=False, limit_s=None):
    report = Report()
    begin = time.monotonic()
    chosen = list(selected(patterns, tier))
    if not chosen:
        print(f"no case matches {patterns}", file=sys.stderr)
        return 2
    for name, function in chosen:
        if limit_s and time.monotonic() - begin > limit_s:
            report.skipped.append((name, f"the time limit of {limit_s} s was reached before it"))
            continue
        run_one(name, function, build, work, seed, keep, report)
    return report.close()
