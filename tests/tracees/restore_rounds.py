#!/usr/bin/python3
"""Snapshots a tracee, kills it, restores it, as often as asked.

restore_rounds.py --parts DIR --snapshot ckpt-snapshot-pid [--rounds N]
    [--delay S] [--fault STAGE] -- TRACEE [ARGUMENT...]

The tracee prints "ready", "restarted N" after each restart and "good" at its
end. {dir} in an argument becomes a fresh directory; DIR.taken-N tells
that snapshot N was taken. With --fault the restorer
is to die at that stage, and the next try, without it, is to succeed.
Exit code 0: all rounds passed.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = 60


class Run:
    """A process whose output is read as it comes."""

    def __init__(self, command, environment):
        self.started = time.monotonic()
        self.lines = []
        self.arrived = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.arrived:
                self.lines.append(line.rstrip("\n"))
                self.arrived.notify_all()
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()

    def wait_line(self, wanted):
        """Seconds until that line came; raises when it does not."""
        deadline = time.monotonic() + TIMEOUT
        with self.arrived:
            while wanted not in self.lines:
                if self.ended or time.monotonic() > deadline:
                    raise RuntimeError(f"no '{wanted}' in {self.lines[-20:]}, status {self.process.poll()}")
                self.arrived.wait(1)
        return time.monotonic() - self.started

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", required=True)
    parser.add_argument("--snapshot", required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--fault", default="")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = [part for part in arguments.command if part != "--"]

    with tempfile.TemporaryDirectory(prefix="ckpt-rounds-") as directory:
        work = os.path.join(directory, "tracee")
        os.mkdir(work)
        command = [part.replace("{dir}", work) for part in command]
        environment = dict(os.environ, TRACEE_RESTARTS=str(arguments.rounds))
        for name in ("PMIX_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "CKPT_FAULT"):
            environment.pop(name, None)
        run = Run(command, environment)
        image = ""
        try:
            run.wait_line("ready")
            for number in range(1, arguments.rounds + 1):
                time.sleep(arguments.delay)  # a random moment of the tracee's
                older, image = image, os.path.join(directory, f"gen-{number:06}.h5")
                taken = subprocess.run([arguments.snapshot, str(run.process.pid), image],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                if taken.returncode != 0:
                    raise RuntimeError(f"snapshot {number}: {taken.stdout}")
                with open(f"{work}.taken-{number}", "w"):
                    pass  # from now on a tracee may change what the restart must undo
                if older:
                    os.unlink(older)
                time.sleep(arguments.delay)
                run.kill()
                restore = [os.path.join(arguments.parts, "ckpt-restore-rank"), "--image", image,
                           "--rank", "0"]
                if arguments.fault:
                    run = Run(restore, dict(environment, CKPT_FAULT=arguments.fault))
                    if run.process.wait(TIMEOUT) != -signal.SIGKILL:
                        raise RuntimeError(f"fault {arguments.fault}: status {run.process.returncode}")
                run = Run(restore, environment)
                took = run.wait_line(f"restarted {number}")
                print(f"round {number}: restarted in {took:.3f} s; {taken.stdout.splitlines()[-1]}")
            run.wait_line("good")
            if run.process.wait(TIMEOUT) != 0:
                raise RuntimeError(f"exit status {run.process.returncode}")
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"failed: {error}")
            return 1
        finally:
            run.kill()
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
