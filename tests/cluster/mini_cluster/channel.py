"""How a command reaches a node: a Unix socket of the node's first process, which
lies on the shared storage (a path on a file system knows no network namespace).

Request: a length, JSON {"arguments", "environment", "cwd", "user"}, and with the
first byte the descriptors 0, 1, 2. Then lines of JSON: to the node
{"signal": N}, from it {"pid": N} and at the end {"status": N}, or {"error": TEXT}.
Who asks is told by the kernel (SO_PEERCRED): root may be anyone on the node,
others only themselves. Used by `run` from outside and by rsh_agent inside. `sockets` is the
directory they lie in.
"""
import json
import os
import signal
import socket
import struct

# What an ssh session would take along; a test's processes are found by the first.
PASSED_VARIABLES = ("CKPT_TEST_TOKEN",)


class Unreachable(Exception):
    pass


def socket_name(node):
    return f"{node}.socket"


def is_cut(sockets, node):
    return os.path.exists(os.path.join(sockets, f"{node}.cut"))


def mark_cut(sockets, node, cut):
    path = os.path.join(sockets, f"{node}.cut")
    if cut:
        open(path, "w").close()
    elif os.path.exists(path):
        os.unlink(path)


def _through_directory(sockets, node, action):
    """Calls action(path): a path short enough for sockaddr_un."""
    directory = os.open(sockets, os.O_PATH | os.O_DIRECTORY)
    try:
        return action(f"/proc/self/fd/{directory}/{socket_name(node)}")
    finally:
        os.close(directory)


def listen(sockets, node):
    def make(path):
        if os.path.exists(path):
            os.unlink(path)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(64)
        return server
    return _through_directory(sockets, node, make)


def connect(sockets, node):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _through_directory(sockets, node, peer.connect)
    except OSError as error:
        peer.close()
        raise Unreachable(f"connect to {node}: {error.strerror}") from None
    return peer


def peer_ids(connection):
    _, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET,
                                                             socket.SO_PEERCRED, 12))
    return uid, gid


def send_request(connection, request, descriptors=(0, 1, 2)):
    text = json.dumps(request).encode()
    data = struct.pack("!I", len(text)) + text
    sent = socket.send_fds(connection, [data], list(descriptors))
    connection.sendall(data[sent:])


def receive_request(connection):
    """(request, descriptors); the caller closes them. None when nothing came."""
    data, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 8)
    if not data:
        return None, descriptors
    while len(data) < 4 or len(data) < 4 + struct.unpack("!I", data[:4])[0]:
        more = connection.recv(1 << 16)
        if not more:
            return None, descriptors
        data += more
    return json.loads(data[4:]), descriptors


def login_environment(name, home):
    return {"HOME": home, "USER": name, "LOGNAME": name, "SHELL": "/bin/bash",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}


def run(sockets, node, arguments, user=None, environment=None, cwd=None):
    """Runs a command to its end with this process's 0, 1, 2; its exit status, as
    a shell has it. SIGINT, SIGTERM, SIGHUP are passed on."""
    wanted = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    wanted.update(environment or {})
    connection = connect(sockets, node)

    def pass_on(number, _):
        connection.sendall(json.dumps({"signal": number}).encode() + b"\n")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, pass_on)
    try:
        send_request(connection, {"arguments": arguments, "environment": wanted, "cwd": cwd,
                                  "user": user})
    except OSError as error:
        raise Unreachable(f"{node}: {error.strerror}") from None
    for line in connection.makefile("r"):
        answer = json.loads(line)
        if "error" in answer:
            raise Unreachable(answer["error"])
        if "status" in answer:
            return answer["status"]
    raise Unreachable(f"{node} is gone")
