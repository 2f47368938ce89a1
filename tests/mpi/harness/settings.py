"""Where things are, and which transports there are."""
import os

HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, "..", "..", ".."))
INPUTS = os.path.join(SOURCE, "tests", "mpi", "inputs")
PROGRAMS = os.path.join(SOURCE, "tests", "mpi", "programs")

# The tests' own traffic stays on the loopback interface.
TRANSPORTS = {
    "vader": ["--mca", "pml", "ob1", "--mca", "btl", "vader,self"],
    "tcp": ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"],
    "ucx": ["--mca", "pml", "ucx", "--mca", "pml_ucx_tls", "any", "--mca", "pml_ucx_devices", "any",
            "-x", "UCX_TLS=self,sm,tcp", "-x", "UCX_NET_DEVICES=lo"],
}
COMMON = ["--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]

# Uid and gid of the "ordinary user" of tests that root runs.
ORDINARY_USER = 65534


class Build:
    def __init__(self, directory):
        self.directory = os.path.realpath(directory)
        self.ckpt_coord = os.path.join(self.directory, "bin", "ckpt-coord")
        self.parts = os.path.join(self.directory, "lib", "ckpt-coord")
        self.mpi_programs = os.path.join(self.directory, "tests", "mpi", "bin")

    def program(self, name):
        return os.path.join(self.mpi_programs, name)


def find_build(given=None):
    for directory in [given] if given else [os.path.join(SOURCE, "build", "dev"),
                                            os.path.join(SOURCE, "build")]:
        if os.path.exists(os.path.join(directory, "tests", "mpi", "bin", "scenario")):
            return Build(directory)
    raise SystemExit("no build found; give --build DIRECTORY, or run tests/run.sh")
