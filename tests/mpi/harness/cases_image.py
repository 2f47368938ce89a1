"""A generation on disk: readable with stock tools; damage is found."""
import glob
import json
import os
import shutil
import subprocess

from cases import Skip, case
from cases_adversary import Traffic
from job import Job, Wrong
from processes import wait_until


def tool(command, deadline_s=120):
    if not shutil.which(command[0]):
        raise Skip(f"{command[0]} is not installed")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=deadline_s, errors="replace")
    if done.returncode != 0:
        raise Wrong(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-1000:]}")
    return done.stdout


H5PY = """
import h5py, sys
count = 0
def visit(name, thing):
    global count
    count += 1
    for key, value in thing.attrs.items():
        value
    if isinstance(thing, h5py.Dataset) and thing.shape is not None:
        thing[tuple(slice(0, 1) for _ in thing.shape)]
with h5py.File(sys.argv[1], "r") as f:
    f.visititems(visit)
    print(count)
"""


def stock_tools(running):
    traffic = Traffic(running, "vader", ranks=2)
    traffic.pause()
    path = traffic.job.generation_path(traffic.job.checkpoint())
    listing = tool(["h5ls", "-r", path])
    if "rank" not in listing:
        raise Wrong(f"h5ls -r shows no rank:\n{listing[:2000]}")
    tool(["h5dump", "-A", path])
    seen = int(tool(["/usr/bin/python3", "-c", H5PY, path]))
    if seen < 10:
        raise Wrong(f"h5py sees {seen} objects only")
    running.note(f"{seen} objects")
    traffic.end()


class Saved:
    """A killed job with two good generations."""

    def __init__(self, running):
        self.traffic = Traffic(running, "vader", ranks=2)
        self.job = self.traffic.job
        self.generations = []
        for _ in range(2):
            self.traffic.pause()
            self.generations.append(self.job.checkpoint())
        self.job.kill()
        self.newest = self.job.generation_path(self.generations[-1])

    def must_refuse(self, words, *arguments):
        """`restart` ends with an error that says one of `words`."""
        child = self.job.coord("restart", self.job.name, "--dir", self.job.base, *arguments,
                               deadline_s=60, check=False)
        text = child.out + child.err
        if child.code == 0:
            raise Wrong(f"restart accepted it\n{text}")
        if words and not any(w in text for w in words):
            raise Wrong(f"the error says none of {words}:\n{text}")
        if self.job.pids():
            raise Wrong(f"processes are left: {self.job.pids()}")

    def verify_must_fail(self):
        child = self.job.coord("verify", self.job.name, "--dir", self.job.base, check=False)
        if child.code == 0:
            raise Wrong(f"verify finds nothing\n{child.out}{child.err}")

    def restarts(self, generation=None):
        self.job.restart(generation=generation)
        self.job.wait_ready()
        self.traffic.end()


def files_of(path):
    """The generation and the payload files beside it."""
    stem = path[:-len(".h5")]
    return sorted(set(glob.glob(stem + "*")))


def corrupted(running):
    saved = Saved(running)
    largest = max(files_of(saved.newest), key=os.path.getsize)
    size = os.path.getsize(largest)
    with open(largest, "r+b") as f:
        for part in range(1, 40):  # everywhere in it
            f.seek(size * part // 40)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 0x5a]))
    saved.verify_must_fail()
    saved.must_refuse([], "--generation", str(saved.generations[-1]))
    saved.restarts()  # from the newest good one


def truncated(running):
    saved = Saved(running)
    largest = max(files_of(saved.newest), key=os.path.getsize)
    os.truncate(largest, os.path.getsize(largest) // 2)
    saved.verify_must_fail()
    saved.must_refuse([], "--generation", str(saved.generations[-1]))
    saved.restarts()


def foreign(running):
    saved = Saved(running)
    for path in files_of(saved.newest):
        with open(path, "wb") as f:
            f.write(b"this is no HDF5 file\n" * 1000)
    saved.verify_must_fail()
    saved.must_refuse([], "--generation", str(saved.generations[-1]))
    saved.restarts()


def wrong_job(running):
    """A generation of another job, under this one's name."""
    saved, other = Saved(running), Saved(running)
    for path in files_of(other.newest):
        os.unlink(path)
    for path in files_of(saved.newest):
        shutil.copy(path, other.job.path)
    other.must_refuse([saved.job.name, "job"], "--generation", str(other.generations[-1]))


def wrong_world_size(running):
    """The job's own record says another number of ranks than the generation."""
    saved = Saved(running)
    record = os.path.join(saved.job.path, "job.json")
    with open(record) as f:
        text = json.load(f)
    text["world_size"] = 3
    command = text["command"]
    command[command.index("-n") + 1] = "3"
    with open(record, "w") as f:
        json.dump(text, f)
    saved.must_refuse(["3", "2"])


def missing_directory(running):
    job = Job(running, ["true"], 1)
    for command in ("checkpoint", "restart", "status", "list", "verify"):
        child = job.coord(command, "no-such-job", "--dir", os.path.join(running.dir, "nowhere"),
                          check=False)
        text = child.out + child.err
        if child.code == 0 or "no-such-job" not in text:
            raise Wrong(f"{command} of a missing job: exit {child.code}\n{text}")


def list_and_prune(running):
    traffic = Traffic(running, "vader", ranks=2)
    job = traffic.job
    numbers = []
    for _ in range(5):
        traffic.pause()
        numbers.append(job.checkpoint())
    # A checkpoint is answered when it is committed; the oldest is removed behind it.
    wait_until(lambda: job.generations() == numbers[-3:], 20,
               f"--keep 3 of {numbers}")
    listed = job.coord("list", job.name, "--dir", job.base, "--json").out
    for number in numbers[-3:]:
        if str(number) not in listed:
            raise Wrong(f"list does not show {number}: {listed}")
    job.coord("verify", job.name, "--dir", job.base)
    traffic.end()
    job.coord("prune", job.name, "--dir", job.base, "--keep", "1")
    if job.generations() != numbers[-1:]:
        raise Wrong(f"prune --keep 1 left {job.generations()}")


def register(build, tier):
    case("image/stock-tools", "quick")(stock_tools)
    case("image/corrupted", "fair")(corrupted)
    case("image/truncated", "fair")(truncated)
    case("image/foreign", "fair")(foreign)
    case("image/wrong-job", "fair")(wrong_job)
    case("image/wrong-world-size", "fair")(wrong_world_size)
    case("image/missing-directory", "quick")(missing_directory)
    case("image/list-prune", "fair")(list_and_prune)
