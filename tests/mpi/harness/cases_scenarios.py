"""Each scenario: checkpointed in its state and continued; checkpointed, killed
and restarted, and that a second time, from a checkpoint of the restarted job."""
import os

from cases import case
from job import Job, Wrong
from processes import wait_until
from scenario_list import scenarios, touch
from settings import TRANSPORTS

# These are checkpointed on every transport in a plain run already: what is in
# the network differs.
ON_EVERY_TRANSPORT = {"large_send_blocked", "isend_half", "isend_many", "ssend_blocked",
                      "irecv_in_flight", "drained_any", "drained_mprobed", "iallreduce_late",
                      "persistent_started", "helper_thread"}
QUICK = {"recv_blocked", "isend_many", "drained_vector", "iallreduce_late", "cartesian"}


class Held:
    """A job that runs a scenario."""

    def __init__(self, running, name, ranks, kind, transport, rounds, native=False):
        self.kind, self.ranks = kind, ranks
        self.job = Job(running, [running.build.program("scenario"), name], ranks, transport,
                       {"SCENARIO_ROUNDS": str(rounds)}, options=["--keep", "20"])
        self.job.env["SCENARIO_DIR"] = self.job.cwd
        if native:
            self.job.native_begin()
        else:
            self.job.start()

    def path(self, name):
        return os.path.join(self.job.cwd, name)

    def wait_state(self, number):
        names = [self.path(f"ready.{number}.{rank}") for rank in range(self.ranks)]

        def reached():
            self.job.still_running(f"before the state of round {number}")
            return all(os.path.exists(n) for n in names)
        wait_until(reached, 60, f"state of round {number}")

    def checkpoint(self, number):
        """In the state; a late rank is let go when the checkpoint is under way."""
        if self.kind == "hold":
            return self.job.checkpoint()
        before = self.job.generations()
        command = self.job.checkpoint_begin()

        def under_way():
            return (command.poll() is not None or
                    self.job.status(check=False).get("state", "idle") != "idle")
        wait_until(under_way, 30, "checkpoint under way")
        touch(self.path(f"go.{number}"))
        code = command.wait(90, "checkpoint")
        new = [g for g in self.job.generations() if g not in before]
        if code != 0 or not new:
            raise Wrong(f"checkpoint: exit {code}\n{command.out}{command.err}")
        return max(new)

    def release(self, number):
        touch(self.path(f"go.{number}"))
        touch(self.path(f"after.{number}"))

    def end(self):
        self.job.wait(60)
        if f"scenario {self.job.program[1]}: OK" not in self.job.output():
            raise Wrong(f"no OK in the output\n{self.job.tail()}")


def continued(name, ranks, kind, transport):
    def run(running):
        held = Held(running, name, ranks, kind, transport, 1)
        held.wait_state(1)
        held.checkpoint(1)
        held.job.checkpoint()  # nothing moved in between: the channel logs are saved again
        held.release(1)
        held.end()
    return run


def restarted(name, ranks, kind, transport):
    def run(running):
        held = Held(running, name, ranks, kind, transport, 2)
        for number in (1, 2):
            held.wait_state(number)
            held.checkpoint(number)
            held.job.kill()
            held.job.restart()
            held.job.wait_ready()
            if number == 1:  # and once more what was just restored
                held.job.checkpoint()
                held.job.kill()
                held.job.restart()
                held.job.wait_ready()
            held.release(number)
        held.end()
    return run


def register(build, tier):
    for name, ranks, kind, _ in scenarios(build):
        for transport in TRANSPORTS:
            plain = transport == "vader" or name in ON_EVERY_TRANSPORT
            cost = "quick" if name in QUICK and transport == "vader" else "fair" if plain else "all"
            case(f"scenario/{name}/{transport}/continue", cost)(
                continued(name, ranks, kind, transport))
            case(f"scenario/{name}/{transport}/restart", cost)(
                restarted(name, ranks, kind, transport))
