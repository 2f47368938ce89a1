"""One node: a supervisor outside and the node's first process (pid 1) inside
namespaces of its own (network, UTS, mount, PID, IPC).

    node_process.py --dir DIR --node NAME --ready-fd FD [--owner-pid PID]

The supervisor ends when pid 1 has ended (then the kernel has ended every process
of the node) and ends the node when its owner dies, so that nothing outlives a
crashed test run. Started by Cluster.boot(); found again by this command line.
"""
import argparse
import os
import select
import signal
import socket
import subprocess
import sys

import kernel
import node_init
from node_files import ClusterFiles


def isolate(files, node, switch_net):
    """In pid 1: namespaces, the wire to the switch, the node's own files."""
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNS |
                   kernel.CLONE_NEWIPC)
    kernel.make_mounts_private()
    socket.sethostname(node)
    path = f"/proc/self/fd/{switch_net}"

    def ip(*words, in_switch=False):
        prefix = ["nsenter", f"--net={path}"] if in_switch else []
        subprocess.run([*prefix, "ip", *words], pass_fds=[switch_net], check=True)
    port = files.port_of(node)
    # The kernel takes a dead node's wire away in its own time.
    subprocess.run(["nsenter", f"--net={path}", "ip", "link", "del", port],
                   pass_fds=[switch_net], stderr=subprocess.DEVNULL, check=False)
    ip("link", "add", "eth0", "address", files.mac_of(node), "type", "veth", "peer",
       "name", port, "netns", path)
    ip("link", "set", port, "master", "br0", "up", in_switch=True)
    ip("addr", "add", f"{files.address_of(node)}/24", "dev", "eth0")
    ip("link", "set", "lo", "up")
    ip("link", "set", "eth0", "up")
    os.close(switch_net)
    files.mount_in_node(node)
    kernel.mount_proc()


def supervise(init, owner_pid):
    """Until pid 1 or the owner ends."""
    watched = select.poll()
    init_fd = os.pidfd_open(init)
    watched.register(init_fd, select.POLLIN)
    if owner_pid:
        try:
            watched.register(os.pidfd_open(owner_pid), select.POLLIN)
        except ProcessLookupError:
            os.kill(init, signal.SIGKILL)
    watched.poll()
    try:
        os.kill(init, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(init, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--switch-pid", type=int, required=True)
    parser.add_argument("--owner-pid", type=int)
    options = parser.parse_args()
    files = ClusterFiles(options.dir)
    switch_net = os.open(f"/proc/{options.switch_pid}/ns/net", os.O_RDONLY)
    kernel.unshare(kernel.CLONE_NEWPID)
    init = os.fork()
    if init == 0:
        try:
            kernel.die_with_parent(signal.SIGKILL)
            isolate(files, options.node, switch_net)
            server = node_init.listen(files.sockets, options.node)
        except Exception as error:
            os.write(options.ready_fd, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os.write(options.ready_fd, b"ready\n")
        os.close(options.ready_fd)
        node_init.serve(server)
        os._exit(1)
    os.close(options.ready_fd)
    os.close(switch_net)
    supervise(init, options.owner_pid)
    return 0


if __name__ == "__main__":
    sys.exit(main())
