"""The node's pid 1: starts commands for those who ask on its socket, reaps, and
keeps the node's syslog."""
import json
import os
import pwd
import selectors
import signal
import socket

import channel

listen = channel.listen


def _identity(request, uid):
    """The passwd entry the command runs as. Only root may be someone else."""
    asker = pwd.getpwuid(uid)
    wanted = request.get("user")
    if not wanted or wanted == asker.pw_name:
        return asker
    if uid != 0:
        raise PermissionError(f"{asker.pw_name} may not be {wanted} here")
    return pwd.getpwnam(wanted)


def _start(request, uid, descriptors):
    who = _identity(request, uid)
    environment = channel.login_environment(who.pw_name, who.pw_dir)
    environment.update(request.get("environment") or {})
    groups = os.getgrouplist(who.pw_name, who.pw_gid)
    cwd = request.get("cwd") or who.pw_dir
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for target, source in enumerate(descriptors[:3]):
            os.dup2(source, target)
        os.closerange(3, 1024)
        for number in range(1, signal.NSIG):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.setgroups(groups)
        os.setresgid(who.pw_gid, who.pw_gid, who.pw_gid)
        os.setresuid(who.pw_uid, who.pw_uid, who.pw_uid)
        os.umask(0o022)
        try:
            os.chdir(cwd)
        except OSError:
            os.chdir("/")
        os.execvpe(request["arguments"][0], request["arguments"], environment)
    except BaseException as error:
        os.write(2, f"{request['arguments'][:1]}: {error}\n".encode())
    os._exit(127)


class _Session:
    def __init__(self, connection):
        self.connection, self.pid, self.buffer = connection, None, b""

    def say(self, **what):
        try:
            self.connection.sendall(json.dumps(what).encode() + b"\n")
        except OSError:
            pass


class _Syslog:
    """/dev/log into /var/log/syslog, as it comes."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self.file = open("/var/log/syslog", "ab", buffering=0)

    def write(self):
        self.file.write(self.socket.recv(1 << 16).rstrip(b"\0\n") + b"\n")


class _Init:
    def __init__(self, server):
        self.server, self.selector = server, selectors.DefaultSelector()
        self.sessions = {}  # pid -> session
        self.wake_read, wake_write = socket.socketpair()
        for end in (self.wake_read, wake_write):
            end.setblocking(False)
        self.wake_write = wake_write
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.syslog = _Syslog()
        self.selector.register(self.syslog.socket, selectors.EVENT_READ, self.syslog.write)
        self.selector.register(server, selectors.EVENT_READ, self.accept)
        self.selector.register(self.wake_read, selectors.EVENT_READ, self.reap)

    def loop(self):
        while True:
            for key, _ in self.selector.select():
                key.data()

    def reap(self):
        try:
            self.wake_read.recv(4096)
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            session = self.sessions.pop(pid, None)
            if session:
                code = os.waitstatus_to_exitcode(status)
                session.say(status=code if code >= 0 else 128 - code)
                self.close(session)

    def accept(self):
        connection, _ = self.server.accept()
        session = _Session(connection)
        descriptors = []
        try:
            connection.settimeout(30)  # who asks may get no processor for a while
            request, descriptors = channel.receive_request(connection)
            if request is None:
                connection.close()
                return
            session.pid = _start(request, channel.peer_ids(connection)[0], descriptors)
        except Exception as error:
            session.say(error=f"{type(error).__name__}: {error}")
            connection.close()
            return
        finally:
            for each in descriptors:
                os.close(each)
        self.sessions[session.pid] = session
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.hear(session))
        session.say(pid=session.pid)

    def hear(self, session):
        try:
            data = session.connection.recv(4096)
        except OSError:
            data = b""
        if not data:  # who asked is gone: as when a terminal is closed
            self.signal(session, signal.SIGHUP)
            self.close(session)
            return
        session.buffer += data
        *lines, session.buffer = session.buffer.split(b"\n")
        for line in lines:
            self.signal(session, json.loads(line)["signal"])

    def signal(self, session, number):
        if session.pid in self.sessions:
            try:
                os.kill(session.pid, number)
            except ProcessLookupError:
                pass

    def close(self, session):
        try:
            self.selector.unregister(session.connection)
        except (KeyError, ValueError):
            pass
        session.connection.close()


def serve(server):
    _Init(server).loop()
