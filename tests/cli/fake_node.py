#!/usr/bin/python3 -B
"""fake_node.py COMMAND...: runs the command as mpirun would run a job's ranks on
one node: with an agent (the fake one) beside it, and a new one when that dies."""
import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def keep_an_agent(variables):
    agent = os.path.join(os.path.dirname(variables["LD_PRELOAD"]), "ckpt-agent")
    while True:
        ended = subprocess.run([agent, "--job-dir", variables["CKPT_JOB_DIR"], "--socket",
                                variables["CKPT_AGENT_SOCKET"]], preexec_fn=die_with_parent)
        if ended.returncode == 0:
            return
        time.sleep(0.1)  # as the shim: not at once


def main():
    listed = os.environ["OMPI_MCA_mca_base_env_list"].split(";")
    variables = dict(each.split("=", 1) for each in listed)
    parent = os.getpid()
    if os.fork() == 0:
        die_with_parent()
        if os.getppid() == parent:
            for stream in (1, 2):  # a pipe of the command must end with it
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            keep_an_agent(variables)
        os._exit(0)
    os.execvp(sys.argv[1], sys.argv[1:])


main()
