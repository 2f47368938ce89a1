"""A small cluster on one machine: its nodes are namespaces.

    python3 tests/cluster/mini_cluster up --dir DIR [--nodes 3] [--visible PATH]
    python3 tests/cluster/mini_cluster run --dir DIR n1 [--user alice] -- mpirun --host n1,n2 ...
    python3 tests/cluster/mini_cluster cut|heal|kill|boot --dir DIR n2
    python3 tests/cluster/mini_cluster status|down --dir DIR
"""
import argparse
import sys

import channel
import kernel
from cluster import Cluster, ClusterError
from node_files import USERS, ClusterFiles


def _parser():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name, what):
        command = commands.add_parser(name, help=what)
        command.add_argument("--dir", required=True, help="where the cluster keeps its files")
        return command
    up = add("up", "make and start it; what ran in DIR before is ended")
    up.add_argument("--nodes", type=int, default=3)
    up.add_argument("--shared", help="the shared storage (default: DIR/shared)")
    up.add_argument("--visible", action="append", default=[], help="a path all nodes must see")
    up.add_argument("--slurm", action="store_true", help="with slurmctld, slurmd and munged")
    up.add_argument("--owner-pid", type=int, help="the cluster ends when this process does")
    add("down", "end every process of it")
    add("status", "which nodes are up")
    run = add("run", "run the command behind -- on a node; its exit status is returned")
    run.add_argument("node")
    run.add_argument("--user", help=f"one of {', '.join(USERS)}, or root (default)")
    run.add_argument("--cwd", help="default: the user's home")
    run.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    for name, what in (("cut", "take the node's network away"), ("heal", "give it back"),
                       ("kill", "power off"), ("boot", "power on")):
        add(name, what).add_argument("node")
    return parser


def _run(options, words):
    if not words:
        raise ClusterError("run: give the command behind --")
    environment = dict(each.split("=", 1) for each in options.env)
    return channel.run(ClusterFiles(options.dir).sockets, options.node, words, options.user,
                       environment, options.cwd)


def main():
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(words[:split])
    try:
        if options.command == "run":
            return _run(options, words[split + 1:])
        cluster = Cluster(options.dir, getattr(options, "owner_pid", None))
        if options.command == "up":
            reason = kernel.why_no_namespaces()
            if reason:
                raise ClusterError(reason)
            cluster.up(options.nodes, options.shared, options.visible, options.slurm)
        elif options.command == "status":
            for node in cluster.nodes:
                state = "down" if not cluster.is_up(node) else \
                    "cut" if channel.is_cut(cluster.files.sockets, node) else "up"
                print(node, cluster.files.address_of(node), state)
        elif options.command == "down":
            cluster.down()
        else:
            getattr(cluster, options.command)(options.node)
    except (ClusterError, channel.Unreachable) as error:
        print(f"mini_cluster: {error}", file=sys.stderr)
        return 255
    return 0


sys.exit(main())
