"""The adversary: hundreds of messages in flight at every checkpoint."""
import os
import random
import re

from cases import case
from cases_programs import go_on
from job import Job, Wrong
from scenario_list import touch
from settings import TRANSPORTS


class Traffic:
    def __init__(self, running, transport, ranks=4, messages=400, user=None,
                 options=("--keep", "3")):
        self.running = running
        self.stop = os.path.join(running.dir, "stop")
        self.job = Job(running, [running.build.program("adversary"), "0", str(messages)], ranks,
                       transport, {"ADVERSARY_STOP": self.stop}, options=options, user=user)
        self.rng = random.Random(f"{running.seed}/{running.name}")
        self.messages = messages
        self.job.start()
        self.job.wait_ready()

    def pause(self):
        go_on(self.job, self.rng.uniform(0.02, 0.5))
        self.job.still_running("in its traffic")

    def end(self):
        """Stops it; its totals must be those of a native run of as many rounds."""
        touch(self.stop)
        self.job.wait(180)
        verdict = [l for l in self.job.output().splitlines() if l.startswith("adversary: OK")]
        if not verdict:
            raise Wrong(f"no verdict\n{self.job.tail()}")
        rounds = re.search(r"rounds=(\d+)", verdict[-1]).group(1)
        native = Job(self.running, [self.job.program[0], rounds, str(self.messages)],
                     self.job.ranks, "vader", name="native")
        expected = native.native().out.strip().splitlines()[-1]
        if verdict[-1] != expected:
            raise Wrong(f"totals differ\nhere:   {verdict[-1]}\nnative: {expected}")
        self.running.note(verdict[-1].replace("adversary: OK ", ""))


def continued(transport, rounds):
    def run(running):
        traffic = Traffic(running, transport)
        for _ in range(rounds):
            traffic.pause()
            traffic.job.checkpoint()
        traffic.end()
    return run


def restarted(transport, rounds):
    def run(running):
        traffic = Traffic(running, transport)
        for _ in range(rounds):
            traffic.pause()
            traffic.job.checkpoint()
            traffic.pause()
            traffic.job.kill()
            traffic.job.restart()
            traffic.job.wait_ready()
        traffic.end()
    return run


# Every ordered pair of different transports once, in one chain.
CHAIN = ["vader", "tcp", "ucx", "vader", "ucx", "tcp", "vader"]


def across_transports(running):
    traffic = Traffic(running, CHAIN[0])
    for transport in CHAIN[1:]:
        traffic.pause()
        traffic.job.checkpoint()
        traffic.job.kill()
        traffic.job.restart(transport)
        traffic.job.wait_ready()
    traffic.end()


def register(build, tier):
    for transport in TRANSPORTS:
        cost = "quick" if transport == "vader" else "fair"
        rounds, kills = (100, 30) if tier == "all" else (10, 3) if tier == "fair" else (3, 1)
        case(f"adversary/{transport}/continue", cost)(continued(transport, rounds))
        case(f"adversary/{transport}/restart", cost)(restarted(transport, kills))
    case("adversary/across-transports", "fair")(across_transports)
