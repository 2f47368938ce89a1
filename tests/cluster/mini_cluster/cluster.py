"""A small cluster on this machine; see tests/cluster/README.md.

Its processes are the only truth about what runs: they are found by their
command lines (node_process.py --dir DIR), so a run that crashed leaves nothing
that the next up() or down() of the same directory would not end.
"""
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import channel
import slurm_daemons
from node_files import HERE, ClusterFiles


class ClusterError(Exception):
    pass


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return [os.fsdecode(word) for word in f.read().split(b"\0")[:-1]]
    except OSError:
        return []


def _innermost_pid(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith("NSpid:"):
                    return [int(word) for word in line.split()[1:]]
    except OSError:
        pass
    return []


class Process:
    """A process of a cluster, held by a pidfd: it cannot be mistaken for another."""

    def __init__(self, pid, words):
        self.pid, self.descriptor = pid, os.pidfd_open(pid)
        if _command_line(pid) != words:
            os.close(self.descriptor)
            raise ProcessLookupError(pid)
        options = dict(zip(words[2::2], words[3::2]))
        self.node = options.get("--node")
        inside = _innermost_pid(pid)
        self.is_init = len(inside) > 1 and inside[-1] == 1

    def kill(self):
        try:
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait_gone(self, deadline_s=20):
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        if not poll.poll(deadline_s * 1000):
            raise ClusterError(f"pid {self.pid} of {self.node or 'the switch'} does not end")

    def close(self):
        os.close(self.descriptor)


class Cluster:
    """`nodes` are named n1, n2, ...; `shared` is the shared storage (default:
    DIR/shared); `visible` are further paths that all nodes must see, as the
    build tree. With `owner_pid` the cluster ends when that process does."""

    def __init__(self, directory, owner_pid=None):
        self.files = ClusterFiles(directory)
        self.directory, self.owner_pid = self.files.directory, owner_pid

    @property
    def nodes(self):
        return self.files.nodes

    @property
    def shared(self):
        return self.files.shared

    # -- processes ---------------------------------------------------------

    def _processes(self, program):
        found = []
        for name in os.listdir("/proc"):
            words = _command_line(name) if name.isdigit() else []
            if len(words) > 3 and words[1] == os.path.join(HERE, program) and \
                    words[2:4] == ["--dir", self.directory]:
                try:
                    found.append(Process(int(name), words))
                except ProcessLookupError:
                    pass
        return found

    def _end(self, processes):
        for each in processes:
            each.kill()
        for each in processes:
            each.wait_gone()
            each.close()

    def _init_of(self, node):
        inits = [each for each in self._processes("node_process.py")
                 if each.node == node and each.is_init]
        return inits[0] if inits else None

    def is_up(self, node):
        return self._init_of(node) is not None

    def _switch_pid(self):
        switches = self._processes("switch_process.py")
        if not switches:
            raise ClusterError(f"no cluster runs in {self.directory}: `up` first")
        return switches[0].pid

    def _launch(self, program, *options):
        """Starts a process of the cluster and waits until it says it is ready."""
        reader, writer = os.pipe()
        command = [sys.executable, os.path.join(HERE, program), "--dir", self.directory, *options,
                   "--ready-fd", str(writer)]
        if self.owner_pid:
            command += ["--owner-pid", str(self.owner_pid)]
        name = options[1] if options else "switch"
        with open(self.files.console(name), "ab") as console:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console,
                                     stderr=console, pass_fds=[writer], start_new_session=True)
        os.close(writer)
        with open(reader, "rb") as pipe:
            ready = select.poll()
            ready.register(pipe, select.POLLIN)
            said = pipe.readline().decode().strip() if ready.poll(30_000) else "not ready in 30 s"
        if said != "ready":
            child.kill()
            child.wait()
            with open(self.files.console(name), errors="replace") as f:
                raise ClusterError(f"{name}: {said or 'it ended'}\n{f.read()[-2000:]}")
        self._children = [c for c in getattr(self, "_children", []) if c.poll() is None] + [child]

    # -- commands ----------------------------------------------------------

    def up(self, count, shared=None, visible=(), slurm=False):
        if slurm and slurm_daemons.why_not():
            raise ClusterError(slurm_daemons.why_not())
        self.down()
        shutil.rmtree(os.path.join(self.directory, "nodes"), ignore_errors=True)
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o755)
        self.files.describe([f"n{i + 1}" for i in range(count)],
                            os.path.realpath(shared) if shared else None,
                            [os.path.realpath(path) for path in visible], slurm)
        problem = self.files.why_not_for_users()
        if problem:
            raise ClusterError(problem)
        self._launch("switch_process.py")
        for node in self.nodes:
            self.files.make_disk(node)
        if slurm:
            slurm_daemons.prepare_disks(self.files)
        for node in self.nodes:
            self.boot(node)
        self.wait_whole()

    def boot(self, node):
        """Power on. With Slurm its daemons are started; wait_whole() waits for them."""
        self._known(node)
        if self.is_up(node):
            raise ClusterError(f"{node} is up")
        channel.mark_cut(self.files.sockets, node, False)
        self._launch("node_process.py", "--node", node, "--switch-pid", str(self._switch_pid()))
        problem = self.files.slurm and slurm_daemons.start_on(self, node)
        if problem:
            raise ClusterError(problem)

    def wait_whole(self, deadline_s=60):
        """With Slurm: until every node is idle."""
        end = time.monotonic() + deadline_s
        while self.files.slurm:
            idle = slurm_daemons.idle_nodes(self, self.nodes[0])
            if idle == set(self.nodes):
                return
            if time.monotonic() > end:
                raise ClusterError(f"idle are only {sorted(idle)}\n" +
                                   self.run(self.nodes[0], ["sinfo", "-R"]).stdout)
            time.sleep(0.2)  # sinfo has nothing to wait on

    def kill(self, node):
        """Power off: nobody is told. (The kernel would close its connections, so
        its wire is taken away first.)"""
        self._known(node)
        self._wire(node, "nomaster")
        self._end([each for each in self._processes("node_process.py")
                   if each.node == node and each.is_init])
        self._wait_for_supervisor(node)

    def _wait_for_supervisor(self, node):
        for each in self._processes("node_process.py"):
            if each.node == node:
                each.wait_gone()
        for child in getattr(self, "_children", []):
            child.poll()

    def cut(self, node):
        """No packet reaches or leaves the node; its own carrier stays up."""
        self._known(node)
        if not self.is_up(node):
            raise ClusterError(f"{node} is not up")
        channel.mark_cut(self.files.sockets, node, True)
        self._wire(node, "nomaster")

    def heal(self, node):
        self._known(node)
        self._wire(node, "master", "br0")
        channel.mark_cut(self.files.sockets, node, False)

    def _known(self, node):
        if node not in self.nodes:
            raise ClusterError(f"no node {node} in {self.directory}")

    def _wire(self, node, *words):
        done = subprocess.run(["nsenter", f"--net=/proc/{self._switch_pid()}/ns/net", "ip", "link",
                               "set", self.files.port_of(node), *words],
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"{node}: its wire: {done.stderr.strip()}")

    def restore(self):
        """Every node up and connected; no job of Slurm is left."""
        for node in self.nodes:
            if not self.is_up(node):
                self.boot(node)
            elif channel.is_cut(self.files.sockets, node):
                self.heal(node)
        if self.files.slurm:
            self.run(self.nodes[0], ["sh", "-c", slurm_daemons.CANCEL_ALL])
        self.wait_whole()

    def down(self):
        inits = [p for p in self._processes("node_process.py") if p.is_init]
        self._end(inits)
        # Their supervisors end by themselves; what is left was about to start one.
        end = time.monotonic() + 5
        for each in self._processes("node_process.py"):
            try:
                each.wait_gone(max(0.1, end - time.monotonic()))
            except ClusterError:
                self._end([each])
        self._end(self._processes("node_process.py") + self._processes("switch_process.py"))
        for child in getattr(self, "_children", []):
            child.poll()

    def run_line(self, node, command, user=None, environment=None, cwd=None):
        """The command line that, started outside, runs `command` on the node."""
        line = [sys.executable, HERE, "run", "--dir", self.directory, node]
        if user:
            line += ["--user", user]
        if cwd:
            line += ["--cwd", cwd]
        for name, value in (environment or {}).items():
            line += ["--env", f"{name}={value}"]
        return [*line, "--", *command]

    def run(self, node, command, user=None, environment=None, cwd=None, deadline_s=60):
        """To its end; a CompletedProcess with stdout and stderr as text."""
        return subprocess.run(self.run_line(node, command, user, environment, cwd),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=deadline_s, check=False)
