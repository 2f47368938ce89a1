"""The mini cluster itself, and plain mpirun on it."""
import os
import re

from cases import case
from cluster import Cluster, ClusterError
from cluster_job import ClusterJob
from clusters import cluster_of
from job import Wrong
from processes import is_alive, wait_until
from settings import SOURCE

PLACES = ["sh", "-c", "echo $(hostname) $(id -un)"]


def expect(wanted, got, what):
    if wanted != got:
        raise Wrong(f"{what}: expected {wanted}, got {got}")


def places(running):
    """A plain mpirun reaches all nodes as an ordinary user, for each of two."""
    cluster = cluster_of(nodes=3)
    for user in ("alice", "bob"):
        done = cluster.run("n2", ["mpirun", "--host", "n1,n2,n3", "-n", "3", *PLACES], user=user)
        expect([f"n1 {user}", f"n2 {user}", f"n3 {user}"], sorted(done.stdout.split("\n")[:-1]),
               f"places{done.stderr}")


def stencil(running):
    """An MPI program over three nodes gives the result of one node."""
    cluster = cluster_of(nodes=3)
    results = []
    for hosts in ("n1,n2,n3", "n2:3"):
        job = ClusterJob(running, cluster, [running.build.program("stencil"), "256", "300"], 3,
                         hosts=hosts)
        job.native(120)
        results.append(job.result_lines())
    if not results[0] or results[0] != results[1]:
        raise Wrong(f"three nodes: {results[0]}\none node: {results[1]}")


def separate(running):
    """What one node has in /tmp, /dev/shm, /run, /var/log, as process or as user
    is nowhere else; the shared storage is."""
    cluster = cluster_of(nodes=3)
    own = ["/tmp", "/run", "/dev/shm", "/var/log", "/var/spool", "/etc"]
    mark = os.path.join(running.dir, "mark")
    cluster.run("n1", ["sh", "-c", f"for d in {' '.join(own)}; do echo n1 > $d/mark; done;"
                                   f"echo n1 > {mark}"])
    seen = cluster.run("n2", ["sh", "-c", f"cat {' '.join(d + '/mark' for d in own)} 2>/dev/null;"
                                          f"cat {mark}"])
    expect("n1\n", seen.stdout, "what n2 sees")
    outside = [d for d in own if os.path.exists(f"{d}/mark")]
    expect([], outside, "what is seen outside the nodes")
    processes = cluster.run("n3", ["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()
    expect(True, len(processes) < 5, f"only its own processes: {processes}")
    expect(1, cluster.run("n1", ["grep", "-c", "^alice:", "/etc/passwd"]).stdout.count("1"), "alice")
    with open("/etc/passwd") as passwd:
        expect(None, re.search("^(alice|bob):", passwd.read(), re.M), "users outside")
    refused = cluster.run("n1", [os.path.join(SOURCE, "tests/cluster/rsh_agent"), "n2", "id", "-u"],
                          user="bob")
    cluster.run("n1", ["logger", "-t", "case", "a line for n1"])
    wait_until(lambda: cluster.run("n1", ["grep", "-q", "a line for n1", "/var/log/syslog"])
               .returncode == 0, 10, "the line in n1's syslog", 0.1)
    expect("6002\n", refused.stdout, f"rsh_agent as bob {refused.stderr}")


def reaches(cluster, source, target):
    """A TCP connection to the target's port 9 is answered (refused) at once, or not."""
    script = ("import socket,sys\ns=socket.socket()\ns.settimeout(2)\ntry:\n s.connect((sys.argv[1],9))\n"
              "except ConnectionRefusedError:\n print('answered')\nexcept OSError as e:\n print(e)\n")
    return cluster.run(source, ["/usr/bin/python3", "-c", script, target]).stdout == "answered\n"


def cut_and_heal(running):
    cluster = cluster_of(nodes=3)
    cluster.cut("n2")
    expect((False, False, True), tuple(reaches(cluster, a, b) for a, b in
                                       (("n1", "n2"), ("n2", "n3"), ("n1", "n3"))), "n2 cut off")
    refused = cluster.run("n1", ["mpirun", "--host", "n2", "-n", "1", "hostname"], user="alice")
    expect(True, refused.returncode != 0, "mpirun to a node that is cut off")
    cluster.heal("n2")
    expect(True, reaches(cluster, "n1", "n2"), "n2 healed")


def kill_and_boot(running):
    """Power off ends everything on the node at once; it comes up empty."""
    cluster = cluster_of(nodes=3)
    job = ClusterJob(running, cluster, ["sleep", "600"], 1, node="n3", hosts="n3")
    job.native_begin()
    wait_until(lambda: job.pids_of("rank"), 20, "a process on n3")
    pids = job.pids_of("rank")
    cluster.run("n3", ["touch", "/tmp/mark", "/var/log/mark"])
    cluster.kill("n3")
    expect([], [pid for pid in pids if is_alive(pid)], "processes after the power went off")
    expect(False, reaches(cluster, "n1", "n3"), "n3 answers")
    cluster.boot("n3")
    left = cluster.run("n3", ["sh", "-c", "ls /tmp/mark /var/log/mark 2>/dev/null"]).stdout
    expect("/var/log/mark\n", left, "what is left after the boot")
    expect(True, reaches(cluster, "n1", "n3"), "n3 answers")


def moved(running):
    """A checkpoint taken on one node goes on on another when the first is dead."""
    cluster = cluster_of(nodes=3)
    program = [running.build.program("stencil"), "384", "8000"]
    undisturbed = ClusterJob(running, cluster, program, 2, hosts="n1:2")
    undisturbed.native(240)
    job = ClusterJob(running, cluster, program, 2, hosts="n1:2").start()
    job.wait_ready()
    job.checkpoint()
    cluster.kill("n1")
    job.kill()
    job.restart_on("n2:2", node="n2").wait(240)
    expect(undisturbed.result_lines(), job.result_lines(), "result")


def side_by_side(running):
    """A second cluster; a crashed owner leaves nothing; `up` sweeps what is there."""
    first = cluster_of(nodes=3)
    import subprocess
    directory = os.path.join(running.dir, "second")
    owner = subprocess.Popen(["sleep", "600"])
    try:
        second = Cluster(directory, owner_pid=owner.pid)
        second.up(2)
        expect("n1\n", second.run("n1", ["hostname"]).stdout, "a command on the second cluster")
        expect(False, reaches(second, "n1", first.files.address_of("n3")), "the first one's n3")
        second.up(1)
        expect(["n1"], [node for node in second.nodes if second.is_up(node)], "nodes of the second")
        owner.kill()
        owner.wait()
        wait_until(lambda: not second.is_up("n1"), 20, "the end of the second cluster")
        try:
            second.cut("n1")
            raise Wrong("a cluster that has ended was cut")
        except ClusterError:
            pass
        expect("n1\n", first.run("n1", ["hostname"]).stdout, "the first cluster goes on")
    finally:
        owner.kill()
        owner.wait()
        Cluster(directory).down()


def slurm(running):
    """The real thing: a job over all nodes, through sbatch, as an ordinary user."""
    cluster = cluster_of(nodes=4, slurm=True)
    out = os.path.join(running.dir, "out")
    script = "#!/bin/sh\nsrun --mpi=pmix sh -c 'echo $(hostname) $PMIX_RANK'\nmpirun hostname\n"
    open(out, "w").close()
    os.chmod(out, 0o666)
    done = cluster.run("n2", ["sh", "-c", f"printf %s \"$SCRIPT\" | sbatch -W -N3 -o {out}"],
                       user="alice", environment={"SCRIPT": script})
    with open(out) as f:
        lines = sorted(f.read().split("\n")[:-1])
    expect(["n1", "n2", "n3"], [line for line in lines if " " not in line],
           f"mpirun in the job {done.stderr}")
    expect({"0", "1", "2"}, {line.split()[1] for line in lines if " " in line}, "ranks of srun")


def register(build, tier):
    case("cluster/places", "quick")(places)
    case("cluster/stencil", "quick")(stencil)
    case("cluster/separate")(separate)
    case("cluster/cut", "quick")(cut_and_heal)
    case("cluster/kill", "quick")(kill_and_boot)
    case("cluster/moved", "quick")(moved)
    case("cluster/slurm", "quick")(slurm)
    case("cluster/side-by-side")(side_by_side)
