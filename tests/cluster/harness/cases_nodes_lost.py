"""A node loses its power or its network at each state of a checkpoint: the job
goes on by itself on the nodes that are left, and what was cut off is fenced."""
import os

from cases import case
from cases_failures import STATES, reached_state
from cluster_job import ClusterJob
from clusters import cluster_of
from job import Wrong
from processes import is_alive, wait_until
from scenario_list import touch


def lost(what, state):
    def run(running):
        cluster = cluster_of(nodes=3)
        stop = os.path.join(running.dir, "stop")
        job = ClusterJob(running, cluster, [running.build.program("adversary"), "0", "200"], 2,
                         env={"ADVERSARY_STOP": stop}, hosts="n1,n2",
                         options=["--keep", "4", "--max-restarts", "3", "--silence", "10s",
                                  "--spare-hosts", "n3"]).start()
        job.wait_ready(120)
        good = job.checkpoint()
        far = pids_on(cluster, job, "n2")
        command = job.checkpoint_begin() if state != "idle" else None
        if command:
            wait_until(lambda: reached_state(command, state) or command.poll() is not None, 60,
                       f"state {state}", interval_s=0.0005)
            if not reached_state(command, state):
                running.note(f"state {state} was not seen")
        (cluster.kill if what == "off" else cluster.cut)("n2")
        if command:
            code = command.wait(120, "the checkpoint")
            running.note(f"checkpoint exit {code}")
        wait_until(lambda: "(restart 1 of 3)" in job.current.err or job.current.poll() is not None,
                   150, "the restart")
        job.wait_ready(150)
        status = job.status()
        nodes = sorted(agent["node"] for agent in status["agents"])
        if nodes != ["n1", "n3"] or status["restarted_from"] < good:
            raise Wrong(f"on {nodes} from {status['restarted_from']}, {good} was committed\n{job.tail()}")
        newer = job.checkpoint()
        if what == "cut":
            # The far side saw nothing of it all, and comes back.
            cluster.heal("n2")
            wait_until(lambda: not [pid for pid in far if is_alive(pid)], 60,
                       "the end of the ranks that were cut off")
            if newer not in job.generations() or job.leftovers():
                raise Wrong(f"{job.generations()} {job.leftovers()}")
        touch(stop)
        job.wait(180)
        if "adversary: OK" not in job.output():
            raise Wrong(f"no OK\n{job.tail()}")
    return run


def pids_on(cluster, job, node):
    """Ranks of the job on the node (pids as seen from here)."""
    name = os.readlink
    own = {pid: name(f"/proc/{pid}/ns/uts") for pid in job.pids_of("rank")}
    here = [pid for pid in job.pids_of("run")]
    first = name(f"/proc/{here[0]}/ns/uts") if here else None
    return [pid for pid, uts in own.items() if uts != first] if node != job.node else []


def register(build, tier):
    for what in ("off", "cut"):
        for state in STATES:
            case(f"node/{what}/{state}", "fair" if state in ("idle", "flush") else "all")(
                lost(what, state))
