"""Processes of a test: started with a deadline, found and ended completely.

Everything a test starts carries a token in its environment and is a descendant
of the harness (which is a "child subreaper", so nothing can slip away to pid 1).
A process is ended only when it has the token; none is ever chosen by its name.
"""
import ctypes
import os
import select
import signal
import subprocess
import time

TOKEN_NAME = "CKPT_TEST_TOKEN"
PR_SET_CHILD_SUBREAPER = 36


class DeadlinePassed(Exception):
    pass


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")


def _status_field(pid, wanted):
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            text = stat.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2:].split()
    return {"state": fields[0].decode(), "parent": int(fields[1])}[wanted]


def is_alive(pid):
    return _status_field(pid, "state") not in (None, "Z", "X")


def _has_token(pid, token):
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return f"{TOKEN_NAME}={token}".encode() in environ.read().split(b"\0")
    except OSError:
        return False


def with_token(token):
    """Pids of all live processes of this test: by token, or below one that has it."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    parents = {pid: _status_field(pid, "parent") for pid in pids}
    found = {pid for pid in pids if is_alive(pid) and _has_token(pid, token)}
    grown = True
    while grown:  # a restored rank may hide its environment for a moment
        more = {pid for pid in pids if parents[pid] in found and pid not in found and is_alive(pid)}
        found |= more
        grown = bool(more)
    return found


def program_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            words = cmdline.read().split(b"\0")
        return os.path.basename(words[0].decode(errors="replace"))
    except OSError:
        return ""


def command_line_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return [word.decode(errors="replace") for word in cmdline.read().split(b"\0")[:-1]]
    except OSError:
        return []


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def wait_until(condition, deadline_s, what, interval_s=0.01):
    """Looks again and again; an answer other than None and False ends it."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > end:
            raise DeadlinePassed(f"{what}: not within {deadline_s:g} s")
        time.sleep(interval_s)


def kill_all(token, children=(), deadline_s=20):
    """kill -9 to every process of the test, again until none is left."""
    def nothing_left():
        left = with_token(token)
        for pid in left:
            send(pid, signal.SIGKILL)
        for child in children:
            child.poll()
        _reap_orphans({child.pid for child in children})
        return not left
    wait_until(nothing_left, deadline_s, "kill -9 of all processes of the test")


def _reap_orphans(own):
    """Waits for adopted processes, but not for those Popen objects wait for."""
    try:
        children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    except OSError:
        return
    for pid in map(int, children):
        if pid in own or _status_field(pid, "state") != "Z":
            continue
        if getattr(subprocess, "_active", None) and any(c.pid == pid for c in subprocess._active):
            continue
        if pid not in Child.alive:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


class Child:
    """A started command; its output goes to files."""
    alive = set()

    def __init__(self, command, env, cwd, output, user=None):
        self.command = command
        self.out_path, self.err_path = output + ".out", output + ".err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=err, start_new_session=True)
        self.pid = self.popen.pid
        Child.alive.add(self.pid)

    def poll(self):
        code = self.popen.poll()
        if code is not None:
            Child.alive.discard(self.pid)
        return code

    def wait(self, deadline_s, what=None):
        self._await_end(deadline_s)
        try:
            code = self.popen.wait(0)
        except subprocess.TimeoutExpired:
            what = what or " ".join(self.command[:4])
            raise DeadlinePassed(f"{what}: not ended within {deadline_s:g} s") from None
        Child.alive.discard(self.pid)
        return code

    def _await_end(self, deadline_s):
        """Comes back as soon as it has ended; Popen.wait looks every 50 ms, which is measured."""
        if self.popen.poll() is not None:
            return
        descriptor = os.pidfd_open(self.pid)  # not reaped yet: it is still there
        try:
            end = select.poll()
            end.register(descriptor, select.POLLIN)
            end.poll(deadline_s * 1000)
        finally:
            os.close(descriptor)

    @property
    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    @property
    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()
