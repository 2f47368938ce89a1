#!/usr/bin/python3 -B
"""An agent that plays the protocol without ranks. $FAKE_AGENT says what it does wrong.

It has its own reading of format/wire/PROTOCOL.md: that is a test as well.
"""
import argparse
import os
import struct
import sys

import tls_pipe

HELLO, WELCOME, SHUTDOWN, JOINED = 1, 2, 7, 8
PING, PONG = 10, 11
QUIESCE, CLOCKS, TARGETS, LEVEL = 16, 17, 18, 19
CUT, SENT, DRAIN, DRAINED, SNAPSHOT, SNAPPED, RESUME = 22, 23, 24, 25, 26, 27, 28
PROGRESS, FLUSHED, COMMITTED, ABORTED, REFUSED, QUERY, ANSWER = 29, 30, 31, 32, 33, 34, 35


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def run(first, count):
    return struct.pack("<IiII", 1, first, count, 1)


class Agent:
    def __init__(self, options):
        self.mode = os.environ.get("FAKE_AGENT", "")
        self.size = int(os.environ.get("FAKE_WORLD", "2"))
        self.welcomed = False
        self.socket, _ = tls_pipe.connect(os.path.join(options.job_dir, "coordinator.json"))
        self.send(HELLO, struct.pack("<I", 2) + text("fakenode") + struct.pack("<iQ", os.getpid(), 0))
        self.partial = None

    def send(self, number, body):
        self.socket.sendall(struct.pack("<IH", len(body) + 2, number) + body)

    def receive_exactly(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                sys.exit(0 if self.welcomed else 1)  # 1: try again
            data += chunk
        return data

    def join(self):
        missing = 1 if self.mode == "rank-missing" else 0
        ranks = [struct.pack("<iiiIQB", rank, self.size, 1000 + rank, 0, 0, 0)
                 for rank in range(missing, self.size)]
        self.send(JOINED, struct.pack("<I", len(ranks)) + b"".join(ranks))

    def run(self):
        while True:
            length, number = struct.unpack("<IH", self.receive_exactly(6))
            body = self.receive_exactly(length - 2)
            if number == WELCOME:
                self.welcomed = True
                self.join()
            elif number == SHUTDOWN:
                return
            elif number == PING:
                if self.mode != "silent":
                    self.send(PONG, body)
            else:
                self.answer(number, body)

    def answer(self, number, body):
        generation = body[:8]
        if self.mode == f"die-{number}":
            os._exit(9)
        if number == QUIESCE:
            self.send(CLOCKS, generation + run(0, self.size) + struct.pack("<I", 1) +
                      struct.pack("<QQII", 1, 7, self.size, self.size))
        elif number == TARGETS and self.mode != "stuck":
            self.send(LEVEL, generation + body[8:16])
        elif number == QUERY:
            activity = struct.pack("<iIIQQ", 1, 1, 1, 3, 0) + text("MPI_Recv")
            self.send(ANSWER, generation + body[8:16] + struct.pack("<III", 1, 1, 1) + activity)
        elif number == CUT:
            self.send(SENT, generation + struct.pack("<BII", 0, 0, 0))
        elif number == DRAIN:
            self.send(DRAINED, generation + struct.pack("<QQ", 0, 0))
        elif number == SNAPSHOT:
            length = struct.unpack("<I", body[8:12])[0]
            self.partial = body[12:12 + length].decode()
            if self.mode == "refuse":
                self.send(REFUSED, generation + struct.pack("<i", 1) +
                          text("rank 1: fd 7 is a TCP socket to 10.0.0.1:22"))
                return
            self.send(SNAPPED, generation + struct.pack("<QQ", 5000000, 4096))
        elif number == RESUME:
            with open(self.partial, "xb") as file:
                file.write(b"not really HDF5")
            if self.mode == "die-after-writing":
                os._exit(9)
            self.send(PROGRESS, generation + struct.pack("<QQ", 10, 15))
            self.send(FLUSHED, generation + text(self.partial) + struct.pack("<Q", 15))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--job-dir", required=True)
    parser.add_argument("--socket", required=True)
    options = parser.parse_args()
    Agent(options).run()


main()
