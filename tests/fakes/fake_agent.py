#!/usr/bin/env python3
"""Stands in for coordinator and agent: takes a program's ranks through cuts.

    fake_agent.py --socket PATH --ranks N [--rounds R] [--pause S] [--abort-every K]

Speaks format/wire/shim_channel.h with each rank's shim: QUIESCE, TARGETS,
CUT, DRAIN, RESUME, round after round, and prints one line a round. Every K-th
round is abandoned at a random state instead. No snapshot is taken. Exits 0
when all ranks are finalizing or gone; 1 when a round fails or takes too long.
"""

import argparse
import array
import os
import random
import selectors
import socket
import struct
import sys
import time

MAGIC, VERSION = 0x434B5054, 2
HELLO, CLOCKS, LEVEL, RAISE, SENT, DRAINED, RESUMED, REBUILT, FINALIZING, CANNOT = range(1, 11)
WELCOME, QUIESCE, TARGETS, RELEASE, CUT, DRAIN, RESUME, ALIVE = range(32, 40)
LIST, CLOCK, MARKER, PAIR = struct.Struct("QQQ"), struct.Struct("QQII"), struct.Struct("iIQ"), struct.Struct("QQ")
PHASES = ["running", "quiescing", "level", "cut", "draining", "drained", "rebuilding"]
DEADLINE = 30.0
RELEASE_AFTER = 0.05


class Failed(Exception):
    pass


class Rank:
    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""
        self.rank = None
        self.page = None
        self.gone = False

    def send(self, kind, payload):
        try:
            self.connection.sendall(struct.pack("IIQ", MAGIC, kind, len(payload)) + payload)
        except OSError:
            self.gone = True

    def frames(self):
        try:
            data = self.connection.recv(1 << 20)
        except OSError:
            data = b""
        self.gone |= not data
        self.buffer += data
        while len(self.buffer) >= 16:
            magic, kind, length = struct.unpack_from("IIQ", self.buffer)
            if magic != MAGIC:
                raise Failed(f"rank {self.rank}: not a frame")
            if len(self.buffer) < 16 + length:
                return
            payload, self.buffer = self.buffer[16:16 + length], self.buffer[16 + length:]
            yield kind, payload

    def welcome(self, payload):
        (version, self.pid, self.rank, self.size, _, self.epoch, _, _) = struct.unpack("IiiiQIiQ", payload)
        if version != VERSION:
            raise Failed(f"rank {self.rank}: version {version}")
        fd = os.memfd_create("status")
        os.ftruncate(fd, 4096)
        self.page = os.fdopen(fd, "rb", buffering=0)
        frame = struct.pack("IIQ", MAGIC, WELCOME, 8) + struct.pack("Ii", VERSION, os.getpid())
        self.connection.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])

    def status(self):
        raw = os.pread(self.page.fileno(), 88, 0)
        phase, inside, behind, expected, name = struct.unpack("IIQQ64s", raw)
        name = name.split(b"\0")[0].decode()
        return f"{PHASES[phase]}, {inside} inside {name}, {behind} behind, {expected} expected"


class Agent:
    def __init__(self, path, count):
        self.selector = selectors.DefaultSelector()
        if os.path.exists(path):
            os.unlink(path)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(64)
        self.selector.register(self.server, selectors.EVENT_READ)
        self.count, self.ranks, self.finalizing = count, [], set()
        self.inbox = []

    def pump(self, timeout):
        for key, _ in self.selector.select(timeout):
            if key.fileobj is self.server:
                connection, _ = self.server.accept()
                rank = Rank(connection)
                self.selector.register(connection, selectors.EVENT_READ, rank)
                continue
            rank = key.data
            for kind, payload in rank.frames():
                if kind == HELLO:
                    rank.welcome(payload)
                    self.ranks = [r for r in self.ranks if r.rank != rank.rank] + [rank]
                elif kind == FINALIZING:
                    self.finalizing.add(rank.rank)
                elif kind == CANNOT:
                    raise Failed(f"rank {rank.rank} cannot: {payload.split(bytes(1))[0].decode()}")
                else:
                    self.inbox.append((rank, kind, payload))
            if rank.gone:
                self.selector.unregister(rank.connection)
                rank.connection.close()
                self.ranks = [r for r in self.ranks if r is not rank]

    @property
    def over(self):
        return bool(self.finalizing) or not self.ranks

    def broadcast(self, kind, payload):
        for rank in self.ranks:
            rank.send(kind, payload)

    def take(self):
        taken, self.inbox = self.inbox, []
        return taken

    def wait_for(self, kind, deadline):
        """One frame of `kind` from each rank, by rank; None when the job ends."""
        answers = {}
        while len(answers) < self.count:
            if self.over:
                return None
            if time.monotonic() > deadline:
                raise Failed(f"no frame {kind} from " + "; ".join(
                    f"rank {r.rank}: {r.status()}" for r in self.ranks if r.rank not in answers))
            self.pump(0.2)
            rest = []
            for rank, got, payload in self.take():
                if got == kind and rank.rank not in answers:
                    answers[rank.rank] = payload
                else:
                    rest.append((rank, got, payload))
            self.inbox = [item for item in rest if item[1] != RESUMED]
        return answers


def entries(payload, layout):
    return [layout.unpack_from(payload, at) for at in range(LIST.size, len(payload), layout.size)]


def send_targets(agent, generation, version, targets):
    body = b"".join(CLOCK.pack(gid, count, 0, 0) for gid, count in targets.items())
    agent.broadcast(TARGETS, LIST.pack(generation, version, len(targets)) + body)


def level(agent, generation, deadline):
    answers = agent.wait_for(CLOCKS, deadline)
    if answers is None:
        return None
    targets = {}
    for payload in answers.values():
        for gid, count, _, _ in entries(payload, CLOCK):
            targets[gid] = max(targets.get(gid, 0), count)
    version, levelled, quiet, releases = 1, {}, time.monotonic(), 0
    send_targets(agent, generation, version, targets)
    while len(levelled) < agent.count:
        if agent.over:
            return None
        if time.monotonic() > deadline:
            raise Failed("not level: " + "; ".join(f"rank {r.rank}: {r.status()}" for r in agent.ranks))
        agent.pump(0.02)
        for rank, kind, payload in agent.take():
            if kind == RAISE:
                quiet = time.monotonic()
                for gid, count, _, _ in entries(payload, CLOCK):
                    targets[gid] = max(targets.get(gid, 0), count)
                version, levelled = version + 1, {}
                send_targets(agent, generation, version, targets)
            elif kind == LEVEL and PAIR.unpack(payload) == (generation, version):
                quiet = time.monotonic()
                levelled[rank.rank] = True
        if time.monotonic() - quiet > RELEASE_AFTER:
            releases += 1
            agent.broadcast(RELEASE, struct.pack("Q", generation))
            quiet = time.monotonic()
    return version, releases


def one_round(agent, generation, abandon):
    start = time.monotonic()
    deadline = start + DEADLINE
    states = ["quiesce", "level", "cut", "drain"]
    stop_at = random.choice(states) if abandon else None
    agent.broadcast(QUIESCE, struct.pack("Q", generation))
    if stop_at == "quiesce":
        return finish(agent, generation, f"abandoned at {stop_at}")
    levelled = level(agent, generation, deadline)
    if levelled is None:
        return False
    if stop_at == "level":
        return finish(agent, generation, f"abandoned at {stop_at}")
    closed = time.monotonic()
    agent.broadcast(CUT, struct.pack("Q", generation))
    if stop_at == "cut":
        return finish(agent, generation, f"abandoned at {stop_at}")
    sent = agent.wait_for(SENT, deadline)
    if sent is None:
        return False
    expected = {rank.rank: [] for rank in agent.ranks}
    for source, payload in sent.items():
        for peer, _, count in entries(payload, MARKER):
            expected[peer].append((source, count))
    for rank in agent.ranks:
        body = b"".join(MARKER.pack(source, 0, count) for source, count in expected[rank.rank])
        rank.send(DRAIN, LIST.pack(generation, generation, len(expected[rank.rank])) + body)
    if stop_at == "drain":
        time.sleep(random.random() * 0.002)
        return finish(agent, generation, f"abandoned at {stop_at}")
    drained = agent.wait_for(DRAINED, deadline)
    if drained is None:
        return False
    logged = [struct.unpack("QQQ", payload)[1:] for payload in drained.values()]
    now = time.monotonic()
    return finish(agent, generation,
                  f"version {levelled[0]}, {levelled[1]} releases, level {closed - start:.3f} s, "
                  f"cut and drain {now - closed:.3f} s, {sum(l[0] for l in logged)} messages "
                  f"({sum(l[1] for l in logged)} bytes) logged")


def finish(agent, generation, text):
    agent.broadcast(RESUME, struct.pack("Q", generation))
    print(f"round {generation}: {text}", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--socket", required=True)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--abort-every", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    agent = Agent(arguments.socket, arguments.ranks)
    print("listening", flush=True)
    begin = time.monotonic()
    while len(agent.ranks) < arguments.ranks:
        if time.monotonic() - begin > 60:
            raise Failed(f"only {len(agent.ranks)} ranks came")
        agent.pump(0.5)
    generation = 0
    while not agent.over:
        until = time.monotonic() + random.random() * 2 * arguments.pause
        while time.monotonic() < until and not agent.over:
            agent.pump(max(0.0, min(0.05, until - time.monotonic())))
        if agent.over:
            break
        if generation < arguments.rounds:
            generation += 1
            agent.inbox.clear()
            abandon = arguments.abort_every and generation % arguments.abort_every == 0
            if not one_round(agent, generation, abandon):
                break
    print(f"{generation} rounds", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"fake_agent.py: {failure}")
