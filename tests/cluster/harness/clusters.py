"""The clusters of a run: made when first wanted, whole again for each case."""
import contextlib
import os
import shutil

import kernel
import slurm_daemons
from cases import Skip
from cluster import Cluster
from settings import SOURCE


class Clusters:
    """`work` is the shared storage: the cases' directories lie in it."""

    def __init__(self, work, build):
        self.work, self.build, self.made = work, build, {}
        shutil.rmtree(os.path.join(work, "home"), ignore_errors=True)  # of an earlier run
        self.reason = kernel.why_no_namespaces()

    def get(self, nodes, slurm):
        reason = self.reason or (slurm and slurm_daemons.why_not())
        if reason:
            raise Skip(reason)
        name = f"{nodes}-nodes{'-slurm' if slurm else ''}"
        if name not in self.made:
            cluster = Cluster(os.path.join(self.work, ".clusters", name), owner_pid=os.getpid())
            cluster.up(nodes, shared=self.work, visible=[SOURCE, self.build.directory],
                       slurm=slurm)
            self.made[name] = cluster
        self.made[name].restore()
        return self.made[name]

    def down(self):
        for cluster in self.made.values():
            cluster.down()


_clusters = None


@contextlib.contextmanager
def of_a_run(work, build):
    global _clusters
    _clusters = Clusters(work, build)
    if _clusters.reason:
        print(f"NO CASE CAN RUN HERE: {_clusters.reason}", flush=True)
    try:
        yield
    finally:
        _clusters.down()


def cluster_of(nodes=3, slurm=False):
    """A cluster with all nodes up and connected. What a case does to it (kill,
    cut) is mended before the next one."""
    return _clusters.get(nodes, slurm)
