"""A job of an ordinary user on a cluster; see Job in tests/mpi/harness/job.py."""
import os

from job import Job
from node_files import USERS
from processes import Child


class ClusterJob(Job):
    """Commands run on `node` as `user`; ranks on `hosts` ("n1:2,n2:2"; default:
    one slot a node, in turn). Files lie on the shared storage."""

    def __init__(self, case, cluster, program, ranks, node="n1", user="alice", hosts=None,
                 env=None, **options):
        self.cluster, self.node, self.hosts = cluster, node, hosts
        self.given_env = {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", **(env or {})}
        super().__init__(case, program, ranks, env=env, **options)
        self.user = user
        self.give(self.dir)

    def give(self, path):
        uid = USERS[self.user]
        for top, dirs, files in os.walk(path):
            for name in [top, *(os.path.join(top, f) for f in dirs + files)]:
                os.chown(name, uid, uid)

    def host_options(self, hosts=None):
        return ["--host", hosts or self.hosts or ",".join(self.cluster.nodes)]

    def line(self):
        return ["mpirun", *self.host_options(), "-n", str(self.ranks), *self.program]

    def _spawn(self, command, label):
        line = self.cluster.run_line(self.node, command, self.user, self.given_env, self.cwd)
        child = Child(line, self.env, self.dir, os.path.join(self.dir, label))
        self.children.append(child)
        return child

    def restart_on(self, hosts, node=None, generation=None, more=()):
        """`ckpt-coord restart` on `node`, ranks on `hosts`."""
        self.starts += 1
        self.node = node or self.node
        command = [self.build.ckpt_coord, "restart", self.name, "--dir", self.base]
        if generation:
            command += ["--generation", str(generation)]
        self.current = self._spawn([*command, "--", *self.host_options(hosts), *more],
                                   f"start{self.starts}")
        return self
