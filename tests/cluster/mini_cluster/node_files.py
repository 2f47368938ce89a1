"""Where a cluster keeps its files, and what a node's file system looks like.

    DIR/cluster.json     nodes, users, paths that every node sees
    DIR/nodes/NODE/      the node's own disk: etc, opt, var-cache, var-log ...
    SHARED/              the shared storage: one path on all nodes and outside
    SHARED/home/USER     users' homes; the users exist in the nodes only
"""
import json
import os
import stat
import subprocess
import zlib

import channel
import kernel

HIDDEN = {"/tmp": 0o1777, "/run": 0o755}           # a tmpfs on each node, as /dev is
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse")
DISKS = ("etc", "opt", "var/cache", "var/log", "var/spool", "var/tmp")  # its own, kept
USERS = {"alice": 6001, "bob": 6002}
SUBNET = "10.77.0"
HERE = os.path.dirname(os.path.realpath(__file__))
RSH_AGENT = os.path.realpath(os.path.join(HERE, "..", "rsh_agent"))

# What a site would set for its network and its (here: few) processors.
MCA_PARAMETERS = f"""
plm_rsh_agent = {RSH_AGENT}
btl_tcp_if_include = eth0
oob_tcp_if_include = eth0
mpi_yield_when_idle = 1
rmaps_base_oversubscribe = 1
hwloc_base_binding_policy = none
"""


class ClusterFiles:
    def __init__(self, directory):
        self.directory = os.path.realpath(directory)
        self.description = {}
        if os.path.exists(self._path("cluster.json")):
            with open(self._path("cluster.json")) as f:
                self.description = json.load(f)

    def _path(self, *parts):
        return os.path.join(self.directory, *parts)

    # -- what was described ------------------------------------------------

    @property
    def nodes(self):
        return self.description.get("nodes", [])

    @property
    def shared(self):
        return self.description.get("shared", self._path("shared"))

    @property
    def slurm(self):
        return self.description.get("slurm", False)

    @property
    def sockets(self):
        """Of its own for each cluster: several may use one shared directory."""
        return os.path.join(self.shared, f".nodes-{zlib.crc32(self.directory.encode()):08x}")

    def address_of(self, node):
        return f"{SUBNET}.{self.nodes.index(node) + 1}"

    def mac_of(self, node):
        """The same after a boot, as a real card's: others have it in their tables."""
        return f"02:77:00:00:00:{self.nodes.index(node) + 1:02x}"

    def port_of(self, node):
        return f"to-{node}"

    def console(self, name):
        return self._path(f"{name}.console")

    def disk(self, node, part):
        return self._path("nodes", node, part.replace("/", "-"))

    def describe(self, nodes, shared, visible, slurm=False):
        """Writes cluster.json and the shared directory."""
        self.description = {"nodes": nodes, "shared": shared or self._path("shared"),
                            "visible": visible, "slurm": slurm}
        os.makedirs(self.sockets, exist_ok=True)
        os.makedirs(self._path("nodes"), exist_ok=True)
        for user, uid in USERS.items():
            home = self.home_of(user)
            os.makedirs(home, exist_ok=True)
            os.chmod(home, 0o700)
            os.chown(home, uid, uid)
        for node in nodes:
            channel.mark_cut(self.sockets, node, False)
        with open(self._path("cluster.json"), "w") as f:
            json.dump(self.description, f, indent=1)

    def home_of(self, user):
        return os.path.join(self.shared, "home", user)

    def why_not_for_users(self):
        """A path that an ordinary user cannot reach, or None."""
        for path in [self.shared, RSH_AGENT, *self.description["visible"]]:
            while path != "/":
                if not os.stat(path).st_mode & stat.S_IXOTH:
                    return f"{path}: an ordinary user cannot enter it"
                path = os.path.dirname(path)
        return None

    # -- a node's disk -----------------------------------------------------

    def make_disk(self, node):
        """As after an installation: a copy of this machine's /etc, empty logs."""
        os.makedirs(self._path("nodes", node))
        for part in DISKS:
            path = self.disk(node, part)
            if part == "etc":
                subprocess.run(["cp", "-a", "/etc", path], check=True)  # with owners
                continue
            os.mkdir(path)
            os.chmod(path, 0o1777 if part == "var/tmp" else 0o755)
        etc = self.disk(node, "etc")

        def write(name, text, mode="w"):
            path = os.path.join(etc, name)
            if os.path.islink(path):  # as resolv.conf may be
                os.unlink(path)
            with open(path, mode) as f:
                f.write(text)
        write("hostname", node + "\n")
        write("hosts", "127.0.0.1 localhost\n" +
              "".join(f"{self.address_of(each)} {each}\n" for each in self.nodes))
        write("resolv.conf", "")
        write("mini-cluster-sockets", self.sockets + "\n")
        write("machine-id", f"{self.nodes.index(node) + 1:032x}\n")
        for user, uid in USERS.items():
            write("passwd", f"{user}:x:{uid}:{uid}::{self.home_of(user)}:/bin/bash\n", "a")
            write("group", f"{user}:x:{uid}:\n", "a")
        os.makedirs(os.path.join(etc, "openmpi"), exist_ok=True)
        write("openmpi/openmpi-mca-params.conf", MCA_PARAMETERS, "a")

    def mount_in_node(self, node):
        """In the node's mount namespace: its disk, its tmpfs, and what is shared."""
        disks = {part: os.open(self.disk(node, part), os.O_PATH) for part in DISKS}
        covered = (*HIDDEN, "/dev/shm", *("/" + part for part in DISKS))
        kept = {path: os.open(path, os.O_PATH)
                for path in {self.shared, HERE, os.path.dirname(RSH_AGENT),
                             *self.description["visible"]}
                if path.startswith(tuple(each + "/" for each in covered))}
        for part, descriptor in disks.items():
            kernel.bind(f"/proc/self/fd/{descriptor}", "/" + part)
        for path, mode in HIDDEN.items():
            kernel.mount_tmpfs(path, mode)
        self._make_devices()
        os.mkdir("/run/lock")
        os.chmod("/run/lock", 0o1777)
        for path in sorted(kept):
            os.makedirs(path, mode=0o755, exist_ok=True)
            kernel.bind(f"/proc/self/fd/{kept[path]}", path)
        for descriptor in (*disks.values(), *kept.values()):
            os.close(descriptor)

    def _make_devices(self):
        """A /dev of the node's own, so that it has its /dev/shm and /dev/log."""
        names = [*(name for name in DEVICES if os.path.exists(f"/dev/{name}")), "pts"]
        devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in names}
        kernel.mount_tmpfs("/dev", 0o755, with_devices=True)
        for name, descriptor in devices.items():
            if name == "pts":
                os.mkdir("/dev/pts")
            else:
                open(f"/dev/{name}", "w").close()
            kernel.bind(f"/proc/self/fd/{descriptor}", f"/dev/{name}")
            os.close(descriptor)
        for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"),
                             ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
            os.symlink(target, f"/dev/{name}")
        os.mkdir("/dev/shm")
        kernel.mount_tmpfs("/dev/shm", 0o1777)
