"""Another user on the node, who tries to read, to talk, to plant. Needs root, to be both."""
import json
import os
import shutil
import socket
import ssl
import subprocess

from cases import Skip, case
from job import Job, Wrong
from processes import wait_until
from settings import ORDINARY_USER

INTRUDER = ORDINARY_USER - 1

CONNECT = """
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
hello = struct.pack("IiiiQIiQ", 1, 1, 0, 2, 0, 0, 0, 0)
s.sendall(struct.pack("IIQ", 0x434B5054, 1, len(hello)) + hello)
print(len(s.recv(100)))
"""

LISTEN = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
s.listen(16)
print("listening", flush=True)
while True:
    connection, _ = s.accept()
    print("got", len(connection.recv(1000)), flush=True)
"""


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can be two users")


def intruder(*command):
    return subprocess.run(["setpriv", f"--reuid={INTRUDER}", f"--regid={INTRUDER}",
                           "--clear-groups", *command], stdin=subprocess.DEVNULL, cwd="/",
                          capture_output=True, text=True, timeout=60)


def python(code, *arguments):
    return intruder("/usr/bin/python3", "-c", code, *arguments)


def must_fail(done, what):
    if done.returncode == 0:
        raise Wrong(f"another user may {what}: {done.stdout}")


def stencil(running, **options):
    program = [running.build.program("stencil"), "256", "30000"]
    return Job(running, program, 2, user=ORDINARY_USER, **options)


def finish(job, expected):
    job.wait(300)
    if job.result_lines() != expected:
        raise Wrong(f"{job.result_lines()} instead of {expected}")


def agent_socket(job):
    for pid in job.pids_of("rank"):
        with open(f"/proc/{pid}/environ", "rb") as file:
            for variable in file.read().split(b"\0"):
                if variable.startswith(b"CKPT_AGENT_SOCKET="):
                    return variable.split(b"=", 1)[1].decode()
    raise Wrong("no rank has CKPT_AGENT_SOCKET")


def cannot_talk_to_the_agent(job):
    path = agent_socket(job)
    must_fail(python(CONNECT, path), "connect to the agent")
    # Though all modes stood open, the kernel says who it is that connects.
    folder = os.path.dirname(path)
    os.chmod(folder, 0o755)
    os.chmod(path, 0o666)
    done = python(CONNECT, path)
    os.chmod(path, 0o600)
    os.chmod(folder, 0o700)
    if done.returncode == 0 and done.stdout.strip() != "0":
        raise Wrong(f"the agent answered another user with {done.stdout.strip()} bytes")


def cannot_talk_to_the_coordinator(job):
    with open(os.path.join(job.path, "coordinator.json")) as file:
        address = json.load(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address["host"], address["port"]), 20) as plain:
            context.wrap_socket(plain)
    except (ssl.SSLError, OSError):
        return
    raise Wrong("the coordinator shook hands with one who has no key")


def tries_everything(running):
    need_root()
    job = stencil(running)
    expected = sorted(l for l in job.native().out.splitlines() if l.startswith("RESULT"))
    job.start().wait_ready()
    generation = job.checkpoint()
    for path in [job.generation_path(generation),
                 *(os.path.join(job.path, name) for name in os.listdir(job.path))]:
        must_fail(intruder("cat", path), f"read {path}")
    must_fail(intruder("ls", job.path), "list the job's directory")
    for command in ("status", "checkpoint", "verify"):
        must_fail(intruder(running.build.ckpt_coord, command, job.path), command)
    cannot_talk_to_the_coordinator(job)
    cannot_talk_to_the_agent(job)
    job.checkpoint()  # all is as it was
    finish(job, expected)


def planted_agent(running):
    """The agent dies, and another user's socket is in its place: no rank says a word to it."""
    need_root()
    job = stencil(running)
    expected = sorted(l for l in job.native().out.splitlines() if l.startswith("RESULT"))
    job.start().wait_ready()
    path = agent_socket(job)
    folder = os.path.dirname(path)
    planted = os.path.join(running.dir, "planted")
    os.mkdir(planted)
    os.chmod(planted, 0o777)
    listener = subprocess.Popen(
        ["setpriv", f"--reuid={INTRUDER}", f"--regid={INTRUDER}", "--clear-groups",
         "/usr/bin/python3", "-c", LISTEN, os.path.join(planted, "agent.sock")],
        stdout=subprocess.PIPE, text=True)
    try:
        listener.stdout.readline()
        os.chown(planted, INTRUDER, INTRUDER)
        os.chmod(planted, 0o755)
        agents = job.pids_of("agent")
        os.rename(folder, folder + ".away")
        os.rename(planted, folder) if same_device(planted, folder) else shutil.move(planted, folder)
        for pid in agents:
            os.kill(pid, 9)
        wait_until(lambda: "not a directory of" in job.current.err or job.current.poll() is not None,
                   60, "a rank has seen the foreign directory")
        finish(job, expected)
    finally:
        listener.kill()
        heard = listener.communicate()[0]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder + ".away", ignore_errors=True)
    if any(int(line.split()[1]) for line in heard.splitlines() if line.startswith("got")):
        raise Wrong(f"a rank spoke to another user's agent: {heard}")


def same_device(path, other):
    return os.stat(path).st_dev == os.stat(os.path.dirname(other)).st_dev


def planted_cache(running):
    """Rewritten libraries that another user has put in the cache's place are not run."""
    need_root()
    place = os.path.join(running.dir, "caches")
    os.mkdir(place)
    os.chmod(place, 0o1777)
    own = os.path.join(place, "own")
    job = stencil(running, env={"CKPT_CACHE_DIR": own})
    expected = sorted(l for l in job.native().out.splitlines() if l.startswith("RESULT"))
    job.start()
    finish(job, expected)
    foreign, link = os.path.join(place, "foreign"), os.path.join(place, "link")
    shutil.copytree(own, foreign)
    for top, _, files in os.walk(foreign):
        for each in [top, *(os.path.join(top, file) for file in files)]:
            os.chown(each, INTRUDER, INTRUDER)
    os.symlink(own, link)
    os.lchown(link, INTRUDER, INTRUDER)
    for cache in (foreign, link):
        refused = stencil(running, env={"CKPT_CACHE_DIR": cache})
        refused.start()
        if refused.wait(120, code=None) == 0:
            raise Wrong(f"a job ran with the cache {cache}")
        if "cache" not in refused.tail():
            raise Wrong(f"the cache is not named as the cause:\n{refused.tail()}")
    # A file of another user in the user's own cache is made anew.
    for name in os.listdir(own):
        path = os.path.join(own, name)
        os.chown(path, INTRUDER, INTRUDER)
        with open(path, "r+b") as file:
            for at in range(0, os.path.getsize(path) - 8192, 4096):
                file.seek(at)
                file.write(b"\xcc" * 4096)
    again = stencil(running, env={"CKPT_CACHE_DIR": own})
    again.start()
    finish(again, expected)
    wrong = [name for name in os.listdir(own) if os.stat(os.path.join(own, name)).st_uid == INTRUDER]
    running.note(f"{len(wrong)} planted files are left unused")


def register(build, tier):
    case("user/intruder", "fair")(tries_everything)
    case("user/planted_agent", "fair")(planted_agent)
    case("user/planted_cache", "fair")(planted_cache)
