"""--max-restarts: the job goes on by itself, or is given up with a report; and
what is of an older start of the job ends."""
import os
import re
import signal

from cases import case
from cases_adversary import Traffic
from job import Job, Wrong
from processes import is_alive, send, wait_until
from scenario_list import touch


class WatchedTraffic(Traffic):
    """The adversary under --max-restarts."""

    def __init__(self, running, restarts, ranks=2):
        self.restarts = restarts
        super().__init__(running, "vader", ranks=ranks, messages=200,
                         options=["--keep", "5", "--max-restarts", str(restarts)])

    def crash(self):
        """kill -9 of a rank of the present start."""
        send(self.job.pids_of("rank")[0], signal.SIGKILL)

    def told(self, text):
        return self.job.current.err.count(text)

    def wait_restart(self, number):
        wait_until(lambda: self.told(f"(restart {number} of ") or self.job.current.poll() is not None,
                   60, f"restart {number}")
        self.job.wait_ready()


def goes_on(victim):
    def run(running):
        traffic = WatchedTraffic(running, 2)
        for number in (1, 2):
            traffic.pause()
            traffic.job.checkpoint()
            traffic.pause()
            send(traffic.job.pids_of(victim)[0], signal.SIGKILL)
            traffic.wait_restart(number)
            incarnation = traffic.job.status()["incarnation"]
            if incarnation != number + 1:
                raise Wrong(f"incarnation {incarnation} after {number} restarts")
        traffic.pause()
        traffic.job.checkpoint()
        traffic.end()
    return run


def given_up(running):
    """Fails right after each restart: older generations, then the end with a report."""
    traffic = WatchedTraffic(running, 9)
    good = []
    for _ in range(2):
        traffic.pause()
        good.append(traffic.job.checkpoint())
    number = 0
    traffic.crash()
    while True:
        number += 1
        wait_until(lambda: traffic.told(f"(restart {number} of ") or
                   traffic.job.current.poll() is not None, 90, f"restart {number} or the end")
        if traffic.job.current.poll() is not None:
            break
        traffic.job.wait_ready()
        traffic.crash()
    code = traffic.job.current.wait(5)
    text = traffic.job.current.err
    if code != 80 or number != 5:
        raise Wrong(f"exit {code} after {number - 1} restarts\n{text}")
    starts = re.findall(r"start \d+, from (the beginning|generation \d+), lasted", text)
    newest, older = (f"generation {g}" for g in reversed(good))
    if starts != ["the beginning", newest, newest, older, older]:
        raise Wrong(f"the report tells of {starts}\n{text}")
    listed = traffic.job.coord("list", traffic.job.name, "--dir", traffic.job.base).out
    if listed.count("failed") < 2:
        raise Wrong(f"not marked: {listed}")
    # Kept: the user can still name one.
    traffic.job.restart(generation=good[-1])
    traffic.job.wait_ready()
    traffic.end()


def from_a_named_one(running):
    """Gone back to the first: a failure goes on from it, not from what was taken
    behind it before; then from what was taken since."""
    traffic = WatchedTraffic(running, 3)
    job = traffic.job
    taken = []
    for _ in range(3):
        traffic.pause()
        taken.append(job.checkpoint())
    job.kill()
    job.restart(generation=taken[0])
    job.wait_ready()
    for origin in (taken[0], None):
        if origin is None:
            traffic.pause()
            origin = job.checkpoint()
        before = traffic.told("(restart ")
        traffic.crash()
        traffic.wait_restart(before + 1)
        if not traffic.told(f"going on from generation {origin} (restart {before + 1} "):
            raise Wrong(f"not from generation {origin}\n{job.current.err}")
    traffic.end()


def own_exit(running):
    """A program that ends itself with a status is not started again."""
    job = Job(running, ["sh", "-c", "exit 7"], 1, options=["--max-restarts", "3"]).start()
    job.wait(60, code=7)


def nothing_to_go_on_from(running):
    job = Job(running, ["sh", "-c", "kill -9 $$"], 1, options=["--max-restarts", "3"]).start()
    code = job.current.wait(60, "run")
    if code != 80 or "no generation is left" not in job.current.err:
        raise Wrong(f"exit {code}: {job.current.err}")


def raise_in_incarnation(job, field):
    """`incarnation`, as another start of the job on another node would; `term`, as
    another coordinator of this start."""
    path = os.path.join(job.path, "incarnation")
    with open(path) as file:
        text = file.read()
    number = int(re.search(rf" {field}=(\d+)", text).group(1))
    with open(path + ".new", "w") as file:
        file.write(text.replace(f" {field}={number} ", f" {field}={number + 1} "))
    os.rename(path + ".new", path)


def fenced(with_agent):
    """A newer start has taken over: ranks end, nothing is committed any more."""
    def run(running):
        traffic = Traffic(running, "vader", ranks=2, messages=200)
        job = traffic.job
        traffic.pause()
        job.checkpoint()
        before = job.generations()
        ranks = job.pids_of("rank")
        if not with_agent:
            # Stopped: it answers nobody, and holds the node's lock.
            send(job.pids_of("agent")[0], signal.SIGSTOP)
        raise_in_incarnation(job, "incarnation")
        if not with_agent:
            send(job.pids_of("agent")[0], signal.SIGKILL)
        wait_until(lambda: not [pid for pid in ranks if is_alive(pid)], 40, "the ranks' end")
        job.current.wait(60, "run after its ranks' end")
        if job.generations() != before or job.leftovers():
            raise Wrong(f"{before} became {job.generations()} {job.leftovers()}")
        if "superseded" not in job.log_text() and with_agent:
            raise Wrong("the log does not say so")
        job.restart()
        job.wait_ready()
        traffic.end()
    return run


def commits_no_more(running):
    """The coordinator asks for its term before it begins and before it commits."""
    traffic = Traffic(running, "vader", ranks=2, messages=200)
    job = traffic.job
    traffic.pause()
    job.checkpoint()
    before = job.generations()
    raise_in_incarnation(job, "term")
    done = job.coord("checkpoint", job.name, "--dir", job.base, check=False)
    if done.code == 0 or job.generations() != before:
        raise Wrong(f"exit {done.code}, {before} became {job.generations()}")
    job.still_running("though its coordinator had to go")
    # `run` starts another one, which takes a term of its own.
    job.wait_ready()
    job.checkpoint()
    touch(traffic.stop)
    job.wait(180)


def register(build, tier):
    case("restarts/rank", "quick")(goes_on("rank"))
    case("restarts/mpirun", "fair")(goes_on("mpirun"))
    case("restarts/given-up", "fair")(given_up)
    case("restarts/named", "fair")(from_a_named_one)
    case("restarts/own-exit", "fair")(own_exit)
    case("restarts/nothing", "fair")(nothing_to_go_on_from)
    case("fence/agent", "quick")(fenced(True))
    case("fence/shim", "fair")(fenced(False))
    case("fence/coordinator", "fair")(commits_no_more)
