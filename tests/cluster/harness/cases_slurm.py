"""Under a real Slurm: checkpoints with nothing in the batch script, as an
ordinary user, on a cluster that was set up by following slurm/README.md."""
import os
import re

from cases import case
from cases_cluster import expect
from cluster_job import ClusterJob
from clusters import cluster_of
from job import Wrong
from processes import wait_until
from scenario_list import touch
from settings import SOURCE

README = os.path.join(SOURCE, "slurm", "README.md")
COORD = "/opt/ckpt-coord/bin/ckpt-coord"
NODES = 4
PLACE, RANKS = ["-N3", "-n3"], 3
_installed = set()  # clusters on which the README was followed


def blocks():
    """(where, text) of the README's shell blocks, in order."""
    with open(README) as f:
        found = re.findall(r"^ *```sh (\S+)\n(.*?)^ *```$", f.read(), re.M | re.S)
    return [(where, re.sub(r"^   ", "", text, flags=re.M)) for where, text in found]


def follow_readme(cluster, build):
    """The steps as an administrator would do them; the last block's output."""
    said = ""
    for where, text in blocks():
        text = text.replace("--install build ", f"--install {build.directory} ")
        nodes = cluster.nodes if where == "every-node" else cluster.nodes[:1]
        for node in nodes:
            done = cluster.run(node, ["sh", "-e", "-c", text], deadline_s=240,
                               user="alice" if where == "user" else "root")
            said = done.stdout
            if done.returncode != 0:
                raise Wrong(f"on {node} ({where}):\n{text}\nexit {done.returncode}\n"
                            f"{done.stdout}{done.stderr}")
    _installed.add(cluster.directory)
    return said


def slurm_cluster(running):
    cluster = cluster_of(nodes=NODES, slurm=True)
    if cluster.directory not in _installed:
        follow_readme(cluster, running.build)
    return cluster


class BatchJob(ClusterJob):
    """A batch script of an ordinary user, submitted on the first node; its Slurm
    id is its ckpt-coord job."""

    def __init__(self, case, cluster, script, options, user="alice"):
        super().__init__(case, cluster, ["batch"], 1, node=cluster.nodes[0], user=user)
        self.base = os.path.join(cluster.files.home_of(user), ".ckpt-coord")
        self.given_env["PATH"] = "/opt/ckpt-coord/bin:/usr/local/bin:/usr/bin:/bin"
        self.out_path = os.path.join(self.cwd, "out")
        self.script = os.path.join(self.cwd, "job.sh")
        with open(self.script, "w") as f:
            f.write("#!/bin/bash\n" + script)
        os.chmod(self.script, 0o755)
        self.give(self.dir)
        self.id = self.submit(["sbatch", "--parsable", "-o", self.out_path, "--open-mode=append",
                               *options, self.script])

    def submit(self, line):
        return self.command(line).split(";")[0].split()[-1]

    def submit_restart(self):
        """`ckpt-coord restart ID` outside of any job; the id of the one it submits."""
        return self.submit([COORD, "restart", self.id, "--sbatch", f"--output={self.out_path}"])

    def command(self, line, check=True):
        done = self.cluster.run(self.node, line, self.user, self.given_env, self.cwd)
        if check and done.returncode != 0:
            raise Wrong(f"{' '.join(line)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    @property
    def path(self):
        return os.path.join(self.base, self.id)

    def field(self, name, of=None):
        text = self.command(["scontrol", "--oneliner", "show", "job", of or self.id], check=False)
        found = re.search(rf"(?:^| ){name}=(\S*)", text)
        return found.group(1) if found else ""

    def state(self, of=None):
        return self.field("JobState", of)

    def nodes(self):
        """Of its allocation, the one with the batch script first."""
        said = self.command(["scontrol", "show", "hostnames", self.field("NodeList")])
        first = self.field("BatchHost")
        return [first, *(node for node in said.split() if node != first)]

    def ended(self, deadline_s=240, of=None, wanted="COMPLETED"):
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED")
        wait_until(lambda: self.state(of) in over, deadline_s, f"the end of Slurm job {self.id}",
                   0.5)
        if self.state(of) != wanted:
            raise Wrong(f"Slurm job {of or self.id}: {self.state(of)}\n{self.output()}\n"
                        f"{self.log_text()[-3000:]}")

    def output(self):
        try:
            with open(self.out_path, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def ready(self, deadline_s=120, of=None):
        def looks_ready():
            if self.state(of) not in ("PENDING", "CONFIGURING", "RUNNING"):
                raise Wrong(f"Slurm job {of or self.id}: {self.state(of)}\n{self.output()}")
            done = self.cluster.run(self.node, [COORD, "status", self.id, "--json"], self.user)
            return '"ready":true' in done.stdout
        wait_until(looks_ready, deadline_s, f"all ranks of {self.id} present\n{self.output()}", 0.3)

    def take_checkpoint(self):
        self.command([COORD, "checkpoint", self.id])
        return self.generations()[-1]


def all_nodes_take_jobs(cluster):
    said = cluster.run(cluster.nodes[0], ["sinfo", "-h", "-R"]).stdout
    if said.strip():
        raise Wrong(f"nodes are drained: {said}")
    cluster.wait_whole(60)


class Traffic(BatchJob):
    """The adversary in a batch script, until it is told to stop: every byte and the
    order of all messages is checked, over any number of restarts."""
    MESSAGES = 40

    def __init__(self, running, cluster, launcher, options, before=""):
        self.program_path = running.build.program("adversary")
        self.stop = os.path.join(running.dir, "stop")
        super().__init__(running, cluster, f"{before}export ADVERSARY_STOP={self.stop}\n"
                         f"{launcher} {self.program_path} 0 {self.MESSAGES}\n", options)

    def finish(self, of=None):
        """Lets it end; its totals are those of an undisturbed run of as many rounds."""
        touch(self.stop)
        self.ended(of=of)
        verdict = [l for l in self.output().splitlines() if l.startswith("adversary: OK")]
        if not verdict:
            raise Wrong(f"no verdict\n{self.output()}\n{self.log_text()[-3000:]}")
        rounds = re.search(r"rounds=(\d+)", verdict[-1]).group(1)
        native = ClusterJob(self.case, self.cluster, [self.program_path, rounds, str(self.MESSAGES)],
                            RANKS, hosts=f"n1:{RANKS}")
        expect(native.native().out.strip().splitlines()[-1], verdict[-1], "totals")
        self.case.note(verdict[-1].replace("adversary: OK ", ""))


def readme(running):
    """An administrator who follows the text has it."""
    cluster = cluster_of(nodes=NODES, slurm=True)
    said = follow_readme(cluster, running.build)
    lines = [l for l in said.splitlines() if re.search(r"/\.ckpt-coord/\d+$", l)]
    expect(2, len(lines), f"lines with the job's directory in\n{said}")
    all_nodes_take_jobs(cluster)


def nothing_in_the_script(launcher):
    """--comment=ckpt: checkpoint, scancel, `restart ID` submits a job
    that goes on to the undisturbed result."""
    def run(running):
        cluster = slurm_cluster(running)
        job = Traffic(running, cluster, launcher, ["--comment=ckpt:keep=3", *PLACE, "-t10"])
        job.ready()
        generation = job.take_checkpoint()
        expect("RUNNING", job.state(), f"after generation {generation}")
        job.command(["scancel", job.id])
        job.ended(wanted="CANCELLED")
        again = job.submit_restart()
        job.ready(of=again)
        expect(job.field("NumNodes"), job.field("NumNodes", again), "nodes of the restart")
        job.finish(of=again)
        all_nodes_take_jobs(cluster)
    return run


def requeued(running):
    """scontrol requeue: the script begins again, and its mpirun goes on."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "mpirun", ["--comment=ckpt", *PLACE, "-t10", "--requeue"],
                  before=BEGINS)
    job.ready()
    job.take_checkpoint()
    job.command(["scontrol", "requeue", job.id])
    begun_again(job)
    job.ready()
    job.finish()
    must_have_resumed(job)
    all_nodes_take_jobs(cluster)


def array_and_het(running):
    """Each task of an array is a job of its own, under the name squeue shows; the
    components of a heterogeneous job are one, with the id of the first."""
    cluster = slurm_cluster(running)
    job = BatchJob(running, cluster, "ckpt-coord run -- mpirun -n 1 true\n",
                   ["--array=1-2", "-N1", "-t5"])
    names = [f"{job.id}_{task}" for task in (1, 2)]
    wait_until(lambda: all(os.path.exists(os.path.join(job.base, name, "job.json"))
                           for name in names), 60, f"jobs {names}", 0.3)
    wait_until(lambda: job.command(["squeue", "-h", "-j", job.id], check=False) == "", 60,
               "the end of the array", 0.3)
    het = BatchJob(running, cluster, "mpirun sh -c 'echo $CKPT_JOB_DIR'\n",
                   ["-N1", "-t5", "--comment=ckpt", ":", "-N1"])
    het.ended()
    if not het.output().rstrip().endswith(f"/.ckpt-coord/{het.id}"):
        raise Wrong(f"job of several components {het.id}: {het.output()}")


def without_it(running):
    """A job that does not ask is left alone; one that asks where nothing is
    installed runs as ever; an option that is not known is named."""
    cluster = slurm_cluster(running)
    plain = BatchJob(running, cluster, "type -t mpirun; mpirun hostname\n", ["-N2", "-t5"])
    plain.ended()
    expect(["file", "n1", "n2"], sorted(plain.output().split()), "output")
    odd = BatchJob(running, cluster, "mpirun sh -c 'echo $CKPT_JOB_DIR'\n",
                   ["-N1", "-t5", "--comment=ckpt:colour=red"])
    odd.ended()
    if "not understood: colour=red" not in odd.output() or ".ckpt-coord/" not in odd.output():
        raise Wrong(odd.output())
    cluster.run("n1", ["mv", "/opt/ckpt-coord", "/opt/elsewhere"])
    try:
        bare = BatchJob(running, cluster, "mpirun hostname\n", ["-N1", "-w", "n1", "-t5",
                                                                "--comment=ckpt"])
        bare.ended()
    finally:
        cluster.run("n1", ["mv", "/opt/elsewhere", "/opt/ckpt-coord"])
    if "n1" not in bare.output().split() or "without checkpoints" not in bare.output():
        raise Wrong(bare.output())
    log = cluster.run("n1", ["cat", "/var/log/syslog"]).stdout
    if "ckpt-coord-task-prolog" not in log:
        raise Wrong(f"nothing in the syslog of n1\n{log[-1000:]}")
    all_nodes_take_jobs(cluster)


def begun_again(job, deadline_s=180):
    wait_until(lambda: "begins 1" in job.output(), deadline_s,
               f"the requeued job's start\n{job.log_text()[-2000:]}", 0.3)


def must_have_resumed(job):
    if "restarting" not in job.output():
        raise Wrong(f"it did not go on from a generation\n{job.output()}")


BEGINS = "echo begins ${SLURM_RESTART_COUNT:-0}\n"


def time_limit(running):
    """A minute is too short: a last checkpoint in time, a requeue, and it goes on."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "mpirun", ["--comment=ckpt", *PLACE, "-t1", "--requeue"],
                  before=BEGINS)
    begun_again(job)
    job.ready()
    job.finish()
    must_have_resumed(job)
    for event in ("last_checkpoint_begun", "requeue"):
        if f"event={event}" not in job.log_text():
            raise Wrong(f"no {event} in the log\n{job.log_text()[-3000:]}")
    all_nodes_take_jobs(cluster)


def warned(running):
    """SIGTERM to `ckpt-coord run`: a last checkpoint before the job is ended; a
    restart inside another allocation runs there."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "exec mpirun", ["--comment=ckpt", *PLACE, "-t10"])
    job.ready()
    expect([], job.generations(), "generations before the signal")
    job.command(["scancel", "--batch", "--signal=TERM", job.id])
    wait_until(lambda: job.state() not in ("RUNNING", "COMPLETING"), 90, "the job's end", 0.3)
    expect([1], job.generations(), "generations after the signal")
    inside = BatchJob(running, cluster, f"ckpt-coord restart {job.id}\n", [*PLACE, "-t10"])
    job.out_path = inside.out_path
    job.ready(of=inside.id)
    job.finish(of=inside.id)


def preempted(running):
    """A job of higher priority takes the nodes; the other is requeued and goes on."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "mpirun",
                  ["--comment=ckpt", "-p", "low", *PLACE, "-t10", "--requeue", "--exclusive"],
                  before=BEGINS)
    job.ready()
    job.take_checkpoint()
    high = BatchJob(running, cluster, "hostname\n", ["-p", "high", f"-N{NODES}", "--exclusive", "-t5"])
    high.ended()
    begun_again(job)
    job.ready()
    job.finish()
    must_have_resumed(job)
    all_nodes_take_jobs(cluster)


def node_killed(running):
    """A node of the job loses its power: the job is requeued, whoever is first to
    find out, and goes on where nodes are left."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "mpirun", ["--comment=ckpt", *PLACE, "-t10", "--requeue"],
                  before=BEGINS)
    job.ready()
    job.take_checkpoint()
    cluster.kill(job.nodes()[-1])
    begun_again(job)
    job.ready()
    job.finish()
    must_have_resumed(job)


def first_node_killed(running):
    """The one with the batch script, mpirun and the coordinator."""
    cluster = slurm_cluster(running)
    other = BatchJob(running, cluster, "sleep 600\n", ["-N1", "-w", "n1", "--exclusive", "-t10"])
    wait_until(lambda: other.state() == "RUNNING", 60, "the job that keeps n1", 0.3)
    job = Traffic(running, cluster, "mpirun", ["--comment=ckpt", *PLACE, "-t10", "--requeue"],
                  before=BEGINS)
    job.ready()
    job.take_checkpoint()
    other.command(["scancel", other.id])
    cluster.kill(job.nodes()[0])
    begun_again(job)
    job.ready()
    job.finish()
    must_have_resumed(job)


def goes_on_in_the_allocation(running):
    """--no-kill and max-restarts: the job goes on with the nodes it still has."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "mpirun", ["--comment=ckpt:max-restarts=2", *PLACE, "-t10",
                                               "--no-kill", "--no-requeue"], before=BEGINS)
    job.ready()
    job.take_checkpoint()
    lost = job.nodes()[-1]
    cluster.kill(lost)
    wait_until(lambda: f"without {lost}" in job.output(), 120,
               f"a restart without {lost}\n{job.output()}", 0.3)
    job.ready()
    job.finish()
    expect(1, job.output().count("begins"), f"runs of the batch script\n{job.output()}")


def daemons_restarted(running):
    """slurmctld and every slurmd end and come back: the job does not notice."""
    cluster = slurm_cluster(running)
    job = Traffic(running, cluster, "mpirun", ["--comment=ckpt", *PLACE, "-t10"])
    job.ready()
    for node in cluster.nodes:
        daemons = ["slurmd", *(["slurmctld"] if node == cluster.nodes[0] else [])]
        for daemon in daemons:
            start = "slurmctld" if daemon == "slurmctld" else f"slurmd -N {node}"
            done = cluster.run(node, ["sh", "-ec", f"pid=$(cat /run/{daemon}.pid); kill $pid; "
                                      f"timeout 60 tail --pid=$pid -f /dev/null; {start}"],
                               deadline_s=90)
            expect(0, done.returncode, f"{daemon} of {node} again: {done.stderr}")
    job.take_checkpoint()
    job.finish()
    all_nodes_take_jobs(cluster)


def register(build, tier):
    case("slurm/readme", "quick")(readme)
    case("slurm/mpirun", "quick")(nothing_in_the_script("mpirun"))
    case("slurm/srun")(nothing_in_the_script("srun --mpi=pmix"))
    case("slurm/requeue", "quick")(requeued)
    case("slurm/array")(array_and_het)
    case("slurm/without")(without_it)
    case("slurm/time-limit", "quick")(time_limit)
    case("slurm/warned")(warned)
    case("slurm/preempted")(preempted)
    case("slurm/node-killed", "quick")(node_killed)
    case("slurm/first-node-killed")(first_node_killed)
    case("slurm/daemons")(daemons_restarted)
    case("slurm/goes-on")(goes_on_in_the_allocation)
