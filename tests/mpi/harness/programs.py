"""The MPI programs: how each is started, and what of it must repeat."""
import os
import re
import shutil

from job import Wrong
from program import Program
from programs_of_debian import INSTALLED
from settings import INPUTS, PROGRAMS


def printed(job):
    """The RESULT lines. A restarted program prints them once more when they lay
    in a buffer at the checkpoint, never differently."""
    lines = sorted(set(job.result_lines()))
    if not lines:
        raise Wrong(f"no RESULT line in the output\n{job.tail()}")
    return lines


def lammps_result(job):
    """The thermo lines of the log file, with all digits."""
    with open(os.path.join(job.cwd, "log.lammps")) as log:
        lines = [l.strip() for l in log if re.match(r"^\s+\d+(\s+-?[\d.e+-]+){4,}\s*$", l)]
    if not lines:
        raise Wrong("no thermo lines in log.lammps")
    return lines


# Not ExeUpdates: HPCC does fewer where a trial says they would take above a
# minute, and a machine under load, or a restart during the trial, says that.
HPCC_KEYS = re.compile(
    r"^(Success|CommWorldProcs|HPL_(RnormI|Anorm1|AnormI|Xnorm1|XnormI|BnormI|N|NB|nprow|npcol)"
    r"|PTRANS_(residual|n|nb|nprow|npcol)|DGEMM_N"
    r"|MPIRandomAccess(_LCG)?_(N|Errors|ErrorsFraction|ExeUpdates|Algorithm)"
    r"|MPIFFT_(N|maxErr|Procs)|FFT_N|StarRandomAccess_N)=")


def hpcc_result(job):
    """The computed values of the summary (not the times) and the verdicts."""
    with open(os.path.join(job.cwd, "hpccoutf.txt")) as out:
        text = out.read()
    lines = [l for l in text.splitlines() if HPCC_KEYS.match(l)]
    lines += re.findall(r"^Found \d+ errors in \d+ locations \(\w+\)\.", text, re.M)
    lines += re.findall(r"^\|\|Ax-b\|\|.*$", text, re.M)
    lines += re.findall(r"^\s+\d+ tests completed and .*$", text, re.M)
    if "Success=1" not in lines:
        raise Wrong("HPCC: no Success=1 in hpccoutf.txt")
    return lines


def hpcc(ranks):
    def prepare(cwd):
        shutil.copy(os.path.join(INPUTS, f"hpcc_{ranks}.txt"), os.path.join(cwd, "hpccinf.txt"))
    return Program(f"hpcc{ranks}", ranks, lambda build: ["hpcc"], hpcc_result, prepare, ["hpcc"])


def lammps(steps):
    return lambda build: ["lmp", "-in", os.path.join(INPUTS, "melt.lammps"), "-var", "steps",
                          str(steps), "-log", "log.lammps"]


PROGRAMS_BY_NAME = {p.name: p for p in [
    Program("stencil", 4, lambda b: [b.program("stencil"), "768", "12000"], printed,
            tier="quick"),
    Program("fortran", 4, lambda b: [b.program("wave_use_mpi"), "200000", "12000"], printed),
    Program("mpif_h", 4, lambda b: [b.program("ring_mpif_h"), "400000"], printed),
    Program("mpi_f08", 4, lambda b: [b.program("ring_mpi_f08"), "300000"], printed),
    Program("hybrid", 2, lambda b: [b.program("hybrid"), "150"], printed),
    Program("mpi4py", 4, lambda b: ["/usr/bin/python3", os.path.join(PROGRAMS, "exchange_mpi4py.py"),
                                    "5000"], printed),
    Program("lammps", 4, lammps(3000), lammps_result, needs=["lmp"]),
    hpcc(2),
    hpcc(4),
    *INSTALLED,
]}
