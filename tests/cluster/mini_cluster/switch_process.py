"""The network of one cluster: a bridge in a namespace of its own, so the
machine's own network is not touched and clusters do not see each other.

    switch_process.py --dir DIR --ready-fd FD [--owner-pid PID]
"""
import argparse
import os
import select
import signal
import subprocess
import sys

import kernel


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--owner-pid", type=int)
    options = parser.parse_args()
    kernel.unshare(kernel.CLONE_NEWNET)
    for words in (["link", "add", "br0", "type", "bridge", "forward_delay", "0"],
                  ["link", "set", "br0", "up"], ["link", "set", "lo", "up"]):
        subprocess.run(["ip", *words], check=True)
    os.write(options.ready_fd, b"ready\n")
    os.close(options.ready_fd)
    if options.owner_pid:
        watched = select.poll()
        try:
            watched.register(os.pidfd_open(options.owner_pid), select.POLLIN)
        except ProcessLookupError:
            return 0
        watched.poll()
        return 0
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
