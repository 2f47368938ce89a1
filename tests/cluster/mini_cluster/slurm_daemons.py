"""A real Slurm on a mini cluster: slurmctld on the first node, slurmd and munged
on each, Debian's packages, the least configuration that works in namespaces.

The settings are those of a small site without accounting; what needs cgroups or
would wait for minutes is set otherwise, with the reason beside it.
"""
import os
import pwd
import secrets
import shutil

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")

CANCEL_ALL = "jobs=$(squeue -h -o %A | sort -u); [ -z \"$jobs\" ] || scancel $jobs"

CONFIGURATION = """\
ClusterName=mini
SlurmctldHost={controller}
SlurmUser=slurm
AuthType=auth/munge
# The life of a credential holds up a requeue by as much.
AuthInfo=cred_expire=5
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
SlurmdDebug=verbose
# A namespace has no cgroups of its own.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
MessageTimeout=30
InactiveLimit=0
MinJobAge=3600
SchedulerParameters=sched_interval=2,bf_interval=2
PropagateResourceLimits=NONE
MpiDefault=none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=5
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def why_not():
    missing = [name for name in PROGRAMS
               if not shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    return f"{', '.join(missing)} not installed" if missing else None


def configuration(files):
    nodes = "\n".join(f"NodeName={node} NodeAddr={files.address_of(node)} NodeHostname={node} "
                      f"CPUs=2 RealMemory=4000 State=UNKNOWN" for node in files.nodes)
    return CONFIGURATION.format(controller=files.nodes[0], nodes=nodes)


def prepare_disks(files):
    """What an administrator would have put on each node's disk."""
    key = secrets.token_bytes(128)
    munge, slurm = pwd.getpwnam("munge"), pwd.getpwnam("slurm")
    for node in files.nodes:
        etc = files.disk(node, "etc")
        os.makedirs(os.path.join(etc, "slurm"), exist_ok=True)
        with open(os.path.join(etc, "slurm", "slurm.conf"), "w") as f:
            f.write(configuration(files))
        path = os.path.join(etc, "munge", "munge.key")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400), "wb") as f:
            f.write(key)
        os.chown(path, munge.pw_uid, munge.pw_gid)
        for part, name, owner in (("var/log", "munge", munge), ("var/log", "slurm", slurm),
                                  ("var/spool", "munge", munge), ("var/spool", "slurmctld", slurm),
                                  ("var/spool", "slurmd", None)):
            directory = os.path.join(files.disk(node, part), name)
            os.makedirs(directory)
            os.chmod(directory, 0o700 if name == "munge" else 0o755)
            if owner:
                os.chown(directory, owner.pw_uid, owner.pw_gid)


def start_on(cluster, node):
    """The node's daemons, as its boot would start them. They go on by themselves."""
    steps = [("root", "mkdir -p /run/munge && chown munge:munge /run/munge"),
             ("munge", "munged --seed-file=/var/spool/munge/seed "
                       "--pid-file=/run/munge/munged.pid")]
    if node == cluster.nodes[0]:
        steps.append(("root", "slurmctld"))
    steps.append(("root", f"slurmd -N {node}"))
    for user, command in steps:
        done = cluster.run(node, ["sh", "-c", command], user=user)
        if done.returncode != 0:
            return f"{node}: {command}: {done.stdout}{done.stderr}"
    return None


def idle_nodes(cluster, asked_on):
    """Names of nodes that would take a job now."""
    done = cluster.run(asked_on, ["sinfo", "-h", "-N", "-p", "main", "-o", "%N %T"])
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0] for row in rows if len(row) == 2 and row[1] == "idle"}
