"""Jobs over several nodes with plain mpirun, as an ordinary user."""
import glob
import json
import os
import re
import signal

from cases import case
from cluster_job import ClusterJob
from clusters import cluster_of
from job import Wrong
from processes import program_of, send, wait_until

TCP = ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"]


class NodesJob(ClusterJob):
    """Over tcp, with as many ranks on a node as it is told."""

    def line(self):
        return ["mpirun", *self.host_options(), *TCP, "--mca", "mpi_yield_when_idle", "1",
                "-n", str(self.ranks), *self.program]

    def restart_on(self, hosts, node=None, generation=None, more=(), image=None):
        self.starts += 1
        self.node = node or self.node
        command = [self.build.ckpt_coord, "restart", self.name, "--dir", self.base]
        if generation:
            command += ["--generation", str(generation)]
        if image:
            command += ["--image", image]
        self.current = self._spawn([*command, "--", *self.host_options(hosts), *TCP, "--mca",
                                    "mpi_yield_when_idle", "1", *more], f"start{self.starts}")
        return self


def stencil(running, cluster, ranks, rounds=6000, **options):
    return NodesJob(running, cluster, [running.build.program("stencil"), "384", str(rounds)], ranks,
                    **options)


def undisturbed(running, cluster, ranks, hosts, rounds=6000):
    job = stencil(running, cluster, ranks, rounds, hosts=hosts, name="undisturbed")
    job.native(240)
    if not job.result_lines():
        raise Wrong(f"no result\n{job.tail()}")
    return job.result_lines()


def node_files(job, generation):
    """{node: path} of the nodes' files of a generation."""
    found = glob.glob(f"{job.path}/gen-{generation:06d}.node-*.h5")
    return {re.search(r"\.node-(.*)\.h5$", path).group(1): path for path in found}


def compare(job, expected):
    if job.result_lines() != expected:
        raise Wrong(f"results differ\nhere:        {job.result_lines()}\nundisturbed: {expected}\n"
                    f"{job.tail()}")


def restarted(first, then):
    """Checkpoint and kill on `first`, restart on `then`; again from a second one."""
    def run(running):
        cluster = cluster_of(nodes=3)
        job = stencil(running, cluster, 6, hosts=first).start()
        job.wait_ready()
        generation = job.checkpoint()
        nodes = sorted(node_files(job, generation))
        expected_nodes = sorted(part.split(":")[0] for part in first.split(","))
        if nodes != expected_nodes and len(expected_nodes) > 1:
            raise Wrong(f"files of the nodes {nodes}, ranks were on {expected_nodes}")
        job.kill()
        job.coord("verify", job.name, "--dir", job.base)
        job.restart_on(then, node=then.split(":")[0])
        job.wait_ready()
        job.checkpoint()
        job.kill()
        job.restart_on(then, node=then.split(":")[0])
        job.wait_ready()
        job.wait(240)
        compare(job, undisturbed(running, cluster, 6, "n1:2,n2:2,n3:2"))
    return run


def adversary(running):
    """Messages of all sizes in flight between three nodes at every checkpoint."""
    from scenario_list import touch
    cluster = cluster_of(nodes=3)
    stop = os.path.join(running.dir, "stop")
    job = NodesJob(running, cluster, [running.build.program("adversary"), "0", "200"], 3,
                   env={"ADVERSARY_STOP": stop}, hosts="n1,n2,n3", options=["--keep", "3"]).start()
    job.wait_ready()
    for hosts in ("n1,n2,n3", "n3,n1,n2", "n2:3"):
        job.checkpoint()
        job.kill()
        job.restart_on(hosts, node=hosts.split(",")[0].split(":")[0])
        job.wait_ready()
    touch(stop)
    job.wait(180)
    verdict = [line for line in job.output().splitlines() if line.startswith("adversary: OK")]
    if not verdict:
        raise Wrong(f"no verdict\n{job.tail()}")
    rounds = re.search(r"rounds=(\d+)", verdict[-1]).group(1)
    native = NodesJob(running, cluster, [running.build.program("adversary"), rounds, "200"], 3,
                      hosts="n1:3", name="native")
    expected = native.native().out.strip().splitlines()[-1]
    if verdict[-1] != expected:
        raise Wrong(f"totals differ\nhere:   {verdict[-1]}\nnative: {expected}")
    running.note(verdict[-1].replace("adversary: OK ", ""))


def agents_of(job):
    return {agent["node"]: agent["pid"] for agent in job.status().get("agents", [])}


def runtime_directories(cluster, nodes):
    return {(node, name) for node in nodes for name in
            cluster.run(node, ["sh", "-c", "ls -d /tmp/ckpt-coord-*-* 2>/dev/null"]).stdout.split()}


def agent_replaced(running):
    """An agent killed on one node: the job goes on, a rank there starts a new one,
    and checkpoints work again. At the end none is left anywhere."""
    cluster = cluster_of(nodes=3)
    nodes = ("n1", "n2", "n3")
    # Agents of earlier cases that were killed left theirs: swept when they are old enough.
    earlier = runtime_directories(cluster, nodes)
    job = stencil(running, cluster, 6, hosts="n1:2,n2:2,n3:2").start()
    job.wait_ready()
    before = agents_of(job)
    if sorted(before) != ["n1", "n2", "n3"]:
        raise Wrong(f"one agent a node: {before}")
    job.checkpoint()
    cluster.run("n2", ["kill", "-9", str(before["n2"])], user="alice")
    wait_until(lambda: agents_of(job).get("n2") not in (None, before["n2"]), 30, "a new agent on n2",
               0.1)
    job.wait_ready()
    job.checkpoint()
    after = agents_of(job)
    if (after["n1"], after["n3"]) != (before["n1"], before["n3"]):
        raise Wrong(f"agents of other nodes were replaced: {before} {after}")
    told = job.current.err.count("a new one was started")
    if told != 1:
        raise Wrong(f"told {told} times\n{job.current.err}")
    job.wait(240)
    wait_until(lambda: not [p for p in job.pids() if program_of(p) == "ckpt-agent"], 20,
               "the end of all agents")
    left = runtime_directories(cluster, nodes) - earlier
    if left:
        raise Wrong(f"left: {left}")
    compare(job, undisturbed(running, cluster, 6, "n1:2,n2:2,n3:2"))


def mpirun_killed(running):
    """Nothing of ours stays on the other nodes when mpirun is killed."""
    cluster = cluster_of(nodes=3)
    job = stencil(running, cluster, 3, 1000000, hosts="n1,n2,n3").start()
    job.wait_ready()
    job.checkpoint()
    for pid in job.pids_of("mpirun"):
        send(pid, signal.SIGKILL)
    job.current.wait(60, "run after the death of mpirun")
    wait_until(lambda: not [p for p in job.pids() if program_of(p) == "ckpt-agent"], 40,
               "the end of all agents")


def exported(running):
    """One file of a generation of three nodes: verified, read by h5py, restarted."""
    cluster = cluster_of(nodes=3)
    job = stencil(running, cluster, 3, hosts="n1,n2,n3").start()
    job.wait_ready()
    generation = job.checkpoint()
    job.kill()
    out = os.path.join(job.dir, "alone.h5")
    done = job.coord("export", job.name, out, "--dir", job.base, "--json")
    told = json.loads(done.out)
    if told["generation"] != generation or told["world_size"] != 3:
        raise Wrong(f"export says {told}")
    again = job.coord("export", job.name, out, "--dir", job.base, check=False)
    if again.code != 73 or "File exists" not in again.err:
        raise Wrong(f"a second export: exit {again.code} {again.err}")
    for path in glob.glob(f"{job.path}/gen-*"):
        os.unlink(path)
    job.coord("verify", out)
    # A new name: the directory is made from what the file tells.
    job.name = "elsewhere"
    job.restart_on("n2,n3:2", node="n2", image=out)
    job.wait_ready()
    job.checkpoint()
    job.wait(240)
    compare(job, undisturbed(running, cluster, 3, "n1,n2,n3"))


READER = """
import h5py, sys
with h5py.File(sys.argv[1], 'r') as f:
    ranks = sorted(f['ranks'])
    files = {f['ranks'][r].file.filename for r in ranks}
    pages = sum(f['ranks'][r]['pages'].shape[0] for r in ranks)
    hosts = sorted({f['ranks'][r].attrs['host'] for r in ranks})
print(len(ranks), len(files), pages > 0, *[h.decode() if isinstance(h, bytes) else h for h in hosts])
"""


def stock_tools(running):
    """h5ls and h5py see everything through the links, wherever they run."""
    cluster = cluster_of(nodes=3)
    job = stencil(running, cluster, 3, 1000000, hosts="n1,n2,n3").start()
    job.wait_ready()
    generation = job.checkpoint()
    path = job.generation_path(generation)
    for node in ("n1", "n3"):
        done = cluster.run(node, ["/usr/bin/python3", "-c", READER, path], user="alice")
        if done.stdout != "3 3 True n1 n2 n3\n":
            raise Wrong(f"h5py: {done.stdout}{done.stderr}")
    listed = cluster.run("n2", ["h5ls", "-rE", path], user="alice").stdout
    for node in ("n1", "n2", "n3"):
        if f"node-{node}.h5" not in listed:
            raise Wrong(f"h5ls does not show {node}\n{listed[-2000:]}")
    if not re.search(r"/ranks/000002/pages\s+Dataset", listed):
        raise Wrong(f"h5ls does not follow the links\n{listed[-2000:]}")
    job.kill()


def pruned(running):
    """Old generations go with their nodes' files, and so does what a crash left."""
    cluster = cluster_of(nodes=3)
    job = stencil(running, cluster, 3, 1000000, hosts="n1,n2,n3", options=["--keep", "2"]).start()
    job.wait_ready()
    for _ in range(4):
        last = job.checkpoint()
    if job.generations() != [last - 1, last]:
        raise Wrong(f"generations {job.generations()}")
    wait_until(lambda: sum(len(node_files(job, g)) for g in range(1, last + 1)) == 6, 20,
               "six nodes' files")
    job.kill()
    for name in (f"gen-{last + 1:06d}.node-n2.h5.partial", f"gen-{last + 1:06d}.node-n3.h5"):
        open(os.path.join(job.path, name), "w").close()
    listed = json.loads(job.coord("list", job.name, "--dir", job.base, "--json").out)
    good = [entry["generation"] for entry in listed if entry["state"] == "good"]
    if good != [last - 1, last]:
        raise Wrong(f"list: {listed}")
    job.restart_on("n1,n2,n3")
    job.wait_ready()
    if job.leftovers() or node_files(job, last + 1):
        raise Wrong(f"left: {job.leftovers()} {node_files(job, last + 1)}")
    os.unlink(node_files(job, last)["n2"])
    job.kill()
    damaged = job.coord("verify", job.name, "--dir", job.base, check=False)
    if damaged.code != 65 or f"gen-{last:06d}.node-n2.h5" not in damaged.err:
        raise Wrong(f"verify: {damaged.code} {damaged.err}")
    job.restart_on("n1,n2,n3")
    job.wait_ready()
    if f"generation {last} is passed over" not in job.current.err:
        raise Wrong(f"no word of the damaged one\n{job.current.err}")
    job.kill()


def register(build, tier):
    case("nodes/same", "quick")(restarted("n1:2,n2:2,n3:2", "n1:2,n2:2,n3:2"))
    case("nodes/others")(restarted("n1:3,n2:3", "n2:3,n3:3"))
    case("nodes/fewer")(restarted("n1:2,n2:2,n3:2", "n3:3,n2:3"))
    case("nodes/one")(restarted("n1:2,n2:2,n3:2", "n2:6"))
    case("nodes/more")(restarted("n1:6", "n3:2,n1:2,n2:2"))
    case("nodes/adversary", "quick")(adversary)
    case("nodes/agent-replaced", "quick")(agent_replaced)
    case("nodes/mpirun-killed")(mpirun_killed)
    case("nodes/export", "quick")(exported)
    case("nodes/stock-tools")(stock_tools)
    case("nodes/prune")(pruned)
