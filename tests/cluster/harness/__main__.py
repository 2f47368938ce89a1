"""Tests on several nodes: MPI jobs of ordinary users on a mini cluster. The
jobs' directory (--work) is the nodes' shared storage.

    /usr/bin/python3 tests/cluster/harness [--quick | --all] [--list] [CASE ...]

CASE is a name, its beginning, or a pattern (quote the *). Ends with
"N passed, N failed, N skipped"; exit status 0 when none failed.
"""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
for place in ("../mini_cluster", "../../mpi/harness"):
    sys.path.append(os.path.realpath(os.path.join(HERE, place)))

# pylint: disable=wrong-import-position
import cases_cluster  # noqa: E402
import cases_nodes  # noqa: E402
import cases_nodes_lost  # noqa: E402
import cases_slurm  # noqa: E402
import clusters  # noqa: E402
import command_line  # noqa: E402

MODULES = (cases_cluster, cases_nodes, cases_nodes_lost, cases_slurm)

sys.exit(command_line.run(__doc__, MODULES, clusters.of_a_run))
