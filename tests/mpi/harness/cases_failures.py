"""Something dies, or the disk is full, at each state of a checkpoint."""
import os
import signal
import subprocess

from cases import Skip, case
from cases_adversary import Traffic
from job import Wrong
from processes import send, wait_until

STATES = ["idle", "quiesce", "level", "cut", "drain", "snapshot", "flush", "commit"]
VICTIMS = ["coordinator", "agent", "rank", "mpirun"]


def reached_state(command, state):
    """The checkpoint command tells each state on stderr."""
    return f": {state}:" in command.err


def kill_at(victim, state):
    def run(running):
        traffic = Traffic(running, "vader")
        job = traffic.job
        traffic.pause()
        good = job.checkpoint()
        traffic.pause()
        pids = job.pids_of(victim)
        if not pids:
            raise Wrong(f"no {victim} found among " + " ".join(map(str, sorted(job.pids()))))
        command = None
        if state != "idle":
            command = job.checkpoint_begin()
            wait_until(lambda: reached_state(command, state) or command.poll() is not None, 60,
                       f"state {state}", interval_s=0.0005)
            if not reached_state(command, state):
                running.note(f"state {state} was not seen")
        send(pids[0], signal.SIGKILL)
        if command:
            code = command.wait(60, f"checkpoint after the death of the {victim}")
            running.note(f"checkpoint exit {code}")
        if victim in ("coordinator", "agent"):
            survives(running, traffic)
        else:
            code = job.current.wait(60, f"run after the death of a {victim}")
            if code == 0:
                raise Wrong(f"run ended with 0 although a {victim} was killed")
            wait_until(lambda: not job.pids(), 30, "no process left after the job's end")
            restarts(traffic, good)
    return run


def main_thread_ticks(pid):
    with open(f"/proc/{pid}/task/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return fields[0], int(fields[11]) + int(fields[12])


def agent_stopped_at(state):
    """The agent stands still: its ranks go on without it, and with it again later."""
    def run(running):
        traffic = Traffic(running, "vader", options=("--keep", "3", "--silence", "3s"))
        job = traffic.job
        traffic.pause()
        good = job.checkpoint()
        traffic.pause()
        agent, ranks = job.pids_of("agent")[0], job.pids_of("rank")
        command = None
        if state != "idle":
            command = job.checkpoint_begin()
            wait_until(lambda: reached_state(command, state) or command.poll() is not None, 60,
                       f"state {state}", interval_s=0.0005)
            if not reached_state(command, state):
                running.note(f"state {state} was not seen")
        send(agent, signal.SIGSTOP)
        if command:
            running.note(f"checkpoint exit {command.wait(60, 'checkpoint of a stopped agent')}")
        before = {pid: main_thread_ticks(pid) for pid in ranks}
        if any(letter == "t" for letter, _ in before.values()):
            running.note("stopped while it copied a rank, which waits for it")
        else:
            wait_until(lambda: all(main_thread_ticks(pid)[1] > before[pid][1] + 10
                                   for pid in ranks), 60, "all ranks go on", 0.1)
        send(agent, signal.SIGCONT)
        job.wait_ready()
        if job.checkpoint() <= good:
            raise Wrong("no new generation")
        survives(running, traffic)
    return run


def survives(running, traffic):
    """The job goes on. If checkpoints are possible again, one must work."""
    job = traffic.job
    traffic.pause()
    job.still_running("after the death")
    good = job.generations()
    traffic.end()
    if not good:
        raise Wrong("the committed generation is gone")
    job.coord("verify", job.name, "--dir", job.base)
    os.unlink(traffic.stop)
    job.clean()
    restarts(traffic, good[-1])


def restarts(traffic, at_least):
    job = traffic.job
    newest = job.generations()
    if not newest or newest[-1] < at_least:
        raise Wrong(f"generations {newest}, {at_least} was committed")
    job.coord("verify", job.name, "--dir", job.base)
    job.restart()
    job.wait_ready()
    if job.leftovers():
        raise Wrong(f"half-written files are left: {job.leftovers()}")
    traffic.pause()
    traffic.end()


def full_disk(running):
    """The job directory is on a small tmpfs: the checkpoint fails with the
    cause, the job goes on, older generations stand; with room again it works."""
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small tmpfs")
    from job import Job
    from scenario_list import touch
    place = os.path.join(running.dir, "small")
    os.makedirs(place)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place]).returncode != 0:
        raise Skip("mount is not permitted here")
    try:
        stop = os.path.join(running.dir, "stop")
        job = Job(running, [running.build.program("adversary"), "0"], 2,
                  env={"ADVERSARY_STOP": stop}, base=place).start()
        job.wait_ready()
        child = job.coord("checkpoint", job.name, "--dir", place, check=False, deadline_s=60)
        text = child.out + child.err
        if child.code == 0:
            raise Wrong(f"a checkpoint on a full disk succeeded: {text}")
        if "No space left" not in text:
            raise Wrong(f"the cause is not named: {text}")
        if job.generations() or job.leftovers():
            raise Wrong(f"left behind: {job.generations()} {job.leftovers()}")
        job.still_running("after the failed checkpoint")
        subprocess.run(["mount", "-o", "remount,size=2g", place], check=True)
        job.checkpoint()
        touch(stop)
        job.wait(120)
        if "adversary: OK" not in job.output():
            raise Wrong(f"no OK\n{job.tail()}")
        job.clean()
    finally:
        for job in running.jobs:
            job.clean()
        subprocess.run(["umount", place])


def terminated(number):
    """SIGTERM or SIGINT to `run` ends the job and everything that belongs to it."""
    def run(running):
        traffic = Traffic(running, "vader")
        traffic.pause()
        traffic.job.checkpoint()
        send(traffic.job.current.pid, number)
        code = traffic.job.current.wait(60, "run after the signal")
        if code == 0:
            raise Wrong("run ended with 0 although it was interrupted")
        wait_until(lambda: not traffic.job.pids(), 30, "no process left after the job's end")
        traffic.job.restart()
        traffic.job.wait_ready()
        traffic.end()
    return run


def every_auto(running):
    """The first checkpoint tells the cost; from then on the interval is planned,
    and checkpoints come by themselves."""
    traffic = Traffic(running, "vader", ranks=2,
                      options=["--keep", "9", "--every", "auto", "--mtbf", "2m"])
    job = traffic.job
    job.checkpoint()
    wait_until(lambda: len(job.generations()) >= 2, 150, "a checkpoint that nobody asked for")
    told = job.status()
    if told["every"] != "auto" or not 10 <= told["interval_s"] < 60 or \
            "given" not in told["interval_why"]:
        raise Wrong(f"status: {told}")
    running.note(f"every {told['interval_s']:.0f} s: {told['interval_why']}")
    traffic.end()


def exit_status(running):
    """`run` returns the job's own exit status."""
    from job import Job
    for wanted in (0, 7):
        job = Job(running, ["sh", "-c", f"exit {wanted}"], 1, name=f"exit{wanted}").start()
        job.wait(60, code=wanted)
        wait_until(lambda: not job.pids(), 30, "no process left")


def register(build, tier):
    for victim in VICTIMS:
        for state in STATES:
            common = state in ("idle", "level", "snapshot", "flush")
            case(f"kill/{victim}/{state}", "fair" if common else "all")(kill_at(victim, state))
    for state in STATES:
        case(f"kill/agent-stopped/{state}", "fair" if state in ("cut", "snapshot") else "all")(
            agent_stopped_at(state))
    case("disk/full", "fair")(full_disk)
    case("signal/term", "fair")(terminated(signal.SIGTERM))
    case("signal/int", "all")(terminated(signal.SIGINT))
    case("run/exit-status", "quick")(exit_status)
    case("run/every-auto")(every_auto)
