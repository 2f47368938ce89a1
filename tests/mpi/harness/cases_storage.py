"""Shared storage that stalls, or is full, at a state of a checkpoint."""
import fcntl
import os
import signal
import subprocess
import threading

from cases import Skip, case
from cases_failures import STATES
from job import Job, Wrong
from processes import command_line_of, send, wait_until
from scenario_list import touch


def stalled(state):
    """The coordinator's storage answers no more (tests/fakes/stalling_storage.c):
    the checkpoint's bound ends it, heartbeats and status go on, and so does the job."""
    def run(running):
        library = os.path.join(running.build.directory, "tests", "fakes", "stalling_storage.so")
        stop = os.path.join(running.dir, "stop")
        flag = os.path.join(running.dir, "stall")
        # For the coordinator alone: what stalls a rank's or an agent's start is no test.
        job = Job(running, [running.build.program("adversary"), "0", "200"], 2,
                  env={"ADVERSARY_STOP": stop, "LD_PRELOAD": library, "STALL_FLAG": flag,
                       "STALL_PROGRAM": "ckpt-coord"}, options=["--keep", "3"])
        job.env["STALL_BELOW"] = job.base
        job.timeout = "8s"
        job.start()
        job.wait_ready()
        good = job.checkpoint()
        command = None
        if state == "idle":
            touch(flag)
            command = job.checkpoint_begin()
        else:
            touch(flag + "." + state)
            command = job.checkpoint_begin()
        code = command.wait(60, "the checkpoint whose storage stalls")
        if code == 0:
            raise Wrong("it succeeded")
        running.note(f"exit {code}")
        job.still_running("while the storage stalls")
        if not job.status()["agents"]:
            raise Wrong("the agent was given up")
        for name in (flag, flag + "." + state):
            if os.path.exists(name):
                os.unlink(name)
        wait_until(lambda: job.status().get("ready"), 30, "the storage's return", 0.2)
        if job.checkpoint() <= good:
            raise Wrong("no new generation")
        if job.leftovers():
            raise Wrong(f"left: {job.leftovers()}")
        touch(stop)
        job.wait(180)
    return run


def ranks_end(running):
    """A rank without an agent looks whether a newer start has taken over, on storage that
    hangs (a FIFO): MPI_Finalize does not wait for that."""
    stop = os.path.join(running.dir, "stop")
    job = Job(running, [running.build.program("adversary"), "0", "200"], 2,
              env={"ADVERSARY_STOP": stop}).start()
    job.wait_ready()
    path = os.path.join(job.base, job.name, "incarnation")
    os.rename(path, path + ".true")
    os.mkfifo(path, 0o600)
    agent = job.pids_of("agent")[0]
    words = command_line_of(agent)
    lock = os.open(os.path.join(os.path.dirname(words[words.index("--socket") + 1]), "agent.lock"),
                   os.O_RDWR | os.O_CLOEXEC)
    # Who waits for the lock has it ahead of the ranks, which only try: no other agent starts.
    waiter = threading.Thread(target=fcntl.flock, args=(lock, fcntl.LOCK_EX))
    waiter.start()
    send(agent, signal.SIGKILL)
    waiter.join()
    try:
        def looks(pid):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/wchan") as file:
                    if file.read() in ("wait_for_partner", "fifo_open"):
                        return True
            return False
        wait_until(lambda: all(looks(pid) for pid in job.pids_of("rank")), 30,
                   "the ranks look", 0.05)
        touch(stop)
        wait_until(lambda: not job.pids_of("rank"), 30, "no rank is left", 0.1)
    finally:
        os.close(lock)
        os.rename(path, path + ".fifo")
        os.rename(path + ".true", path)
        # Who still waits at the FIFO goes on.
        os.close(os.open(path + ".fifo", os.O_RDWR | os.O_NONBLOCK))
    job.wait(60)


def full(state):
    """No room from the state on: aborted with the cause, and the job goes on."""
    def run(running):
        if os.geteuid() != 0:
            raise Skip("needs root to mount a small tmpfs")
        place = os.path.join(running.dir, "small")
        os.makedirs(place)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", place]).returncode:
            raise Skip("mount is not permitted here")
        stop = os.path.join(running.dir, "stop")
        try:
            job = Job(running, [running.build.program("adversary"), "0", "200"], 2,
                      env={"ADVERSARY_STOP": stop}, base=place, options=["--keep", "3"]).start()
            job.wait_ready()
            good = job.checkpoint()
            command = job.checkpoint_begin() if state != "idle" else None
            if command:
                wait_until(lambda: f": {state}:" in command.err or command.poll() is not None, 60,
                           f"state {state}", interval_s=0.0005)
            fill(os.path.join(place, "fill"))
            if not command:
                command = job.checkpoint_begin()
            code = command.wait(60, "the checkpoint on the full disk")
            running.note(f"exit {code}")
            if code == 0 and state not in ("flush", "commit"):
                running.note("it was faster than the disk was full")
            job.still_running("after the disk was full")
            if good not in job.generations() or job.leftovers():
                raise Wrong(f"{good} of {job.generations()}, left: {job.leftovers()}")
            os.unlink(os.path.join(place, "fill"))
            if job.checkpoint() <= good:
                raise Wrong("no new generation")
            touch(stop)
            job.wait(180)
            job.clean()
        finally:
            for each in running.jobs:
                each.clean()
            subprocess.run(["umount", place])
    return run


def fill(path):
    block = b"\0" * (1 << 20)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while True:
            os.write(fd, block)
    except OSError:
        pass
    finally:
        os.close(fd)


def register(build, tier):
    for state in ("idle", "commit"):
        case(f"storage/stalls/{state}", "fair" if state == "commit" else "all")(stalled(state))
    case("storage/hangs/finalize", "fair")(ranks_end)
    for state in STATES:
        case(f"storage/full/{state}", "fair" if state == "flush" else "all")(full(state))
