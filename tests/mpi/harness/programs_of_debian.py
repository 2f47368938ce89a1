"""Programs of other people that are tried when they are installed, in --all:

    apt-get install gromacs cp2k quantum-espresso quantum-espresso-data scalapack-mpi-test
"""
import gzip
import hashlib
import os
import re
import shutil
import subprocess

from job import Wrong
from program import Program
from settings import INPUTS

SCALAPACK = "/usr/lib/x86_64-linux-gnu/scalapack/openmpi-tests"
PSEUDOPOTENTIAL = "/usr/share/doc/quantum-espresso/examples/EPW/sic/pp/Si.pz-vbc.UPF.gz"


def prepared(cwd, *command):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"{' '.join(command)}: {done.stderr[-2000:]}")


def gromacs_prepare(cwd):
    with open(os.path.join(cwd, "topol.top"), "w") as topology:
        topology.write('#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n'
                       "[ system ]\nwater\n[ molecules ]\n")
    prepared(cwd, "gmx", "solvate", "-cs", "spc216.gro", "-box", "3", "3", "3", "-o", "water.gro",
             "-p", "topol.top")
    prepared(cwd, "gmx", "grompp", "-f", os.path.join(INPUTS, "water.mdp"), "-c", "water.gro",
             "-p", "topol.top", "-o", "water.tpr")


def gromacs_result(job):
    """Every bit of the trajectory, the energies and the last coordinates."""
    digests = []
    for name in ("md.gro", "md.xtc", "md.edr"):
        with open(os.path.join(job.cwd, name), "rb") as file:
            digests.append(f"{name} {hashlib.sha256(file.read()).hexdigest()}")
    return digests


def cp2k_result(job):
    """Step, time, energies and temperature of each step, as last written: CP2K
    opens the file anew for each, so what it wrote after a checkpoint stays."""
    steps = {}
    with open(os.path.join(job.cwd, "water-1.ener")) as text:
        for line in text:
            if match := re.match(r"\s+(\d+)((\s+-?\d+\.\d+){5})", line):
                steps[int(match.group(1))] = match.group(0)
    if not steps:
        raise Wrong("no step in water-1.ener")
    return list(steps.values())


def espresso_prepare(cwd):
    with gzip.open(PSEUDOPOTENTIAL) as packed, open(os.path.join(cwd, "Si.UPF"), "wb") as file:
        shutil.copyfileobj(packed, file)


def printed_once(pattern):
    """What all starts of the job printed; what one printed after a checkpoint,
    the next prints again."""
    def result(job):
        text = "".join(child.out for child in job.children)
        found = sorted({match.group(0) for match in re.finditer(pattern, text, re.M)})
        if not found:
            raise Wrong(f"nothing printed of {pattern}\n{job.tail()}")
        return found
    return result


def scalapack_prepare(cwd):
    """Debian's input, with matrices that take longer."""
    with open(os.path.join(SCALAPACK, "LU.dat")) as given:
        text = given.read()
    for was, now in ((r"^4 10 17 .*$", "200 300 400 500 values of M"),
                     (r"^4 12 13 .*$", "200 300 400 500 values of N"),
                     (r"^2 3 4 5 .*$", "8 16 32 values of NB")):
        text, changed = re.subn(was, now, text, flags=re.M)
        if changed != 1:
            raise Wrong(f"LU.dat is not as it was: no line {was}")
    with open(os.path.join(cwd, "LU.dat"), "w") as file:
        file.write(text)


# The harness has two threads a rank for OpenMP; these are to repeat every bit.
ONE_THREAD = ["env", "OMP_NUM_THREADS=1"]


def installed(name, ranks, command, result, needs, prepare=None):
    return Program(name, ranks, lambda build: command, result, prepare, needs, tier="all")


INSTALLED = [
    installed("gromacs", 2,
              [*ONE_THREAD, "gmx_mpi", "mdrun", "-s", "water.tpr", "-deffnm", "md", "-ntomp", "1",
               "-reprod", "-nb", "cpu", "-pin", "off"],
              gromacs_result, ["gmx", "gmx_mpi"], gromacs_prepare),
    installed("cp2k", 2, [*ONE_THREAD, "cp2k.psmp", "-i", os.path.join(INPUTS, "water.cp2k")],
              cp2k_result, ["cp2k.psmp"]),
    installed("espresso", 2,
              [*ONE_THREAD, "pw.x", "-nk", "2", "-i", os.path.join(INPUTS, "silicon.pwscf")],
              printed_once(r"^!? +total energy +=.*$|^ +atom +\d+ type.*force.*$"),
              ["pw.x", PSEUDOPOTENTIAL], espresso_prepare),
    installed("scalapack", 4, [os.path.join(SCALAPACK, "xdlu")],
              printed_once(r"^WALL( +\d+){7}|^ *\d+ tests completed and .*$"),
              [os.path.join(SCALAPACK, "xdlu")], scalapack_prepare),
]
