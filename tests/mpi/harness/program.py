"""One MPI program that the tests run, and what of it must repeat."""
import os
import shutil

from job import Job


class Program:
    """`command(build)`, `prepare(cwd)` makes its input files, `result(job)` is
    what must be equal after every checkpoint and restart. `needs`: programs, and
    files by their absolute path. `tier`: the selection its main cases are in."""

    def __init__(self, name, ranks, command, result, prepare=None, needs=(), tier="fair"):
        self.name, self.ranks, self.command = name, ranks, command
        self.result, self.prepare, self.needs, self.tier = result, prepare, needs, tier

    def missing(self):
        return [need for need in self.needs
                if not (os.path.exists(need) if os.path.isabs(need) else shutil.which(need))]

    def job(self, case, **options):
        job = Job(case, self.command(case.build), self.ranks, **options)
        if self.prepare:
            self.prepare(job.cwd)
        return job
