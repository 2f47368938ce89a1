#!/usr/bin/env python3
"""Makes the first inputs of each corpus: make_seeds.py CORPUS_DIR. What the fuzzer found lies beside them."""
import json
import os
import struct
import subprocess
import sys
import tempfile


def text(value):
    return struct.pack("<I", len(value)) + value


def frame(number, body):
    return struct.pack("<IH", len(body) + 2, number) + body


def shim(kind, payload):
    return struct.pack("<IIQ", 0x434B5054, kind, len(payload)) + payload


def wire():
    clock = struct.pack("<QQII", 1, 7, 2, 2)
    yield "hello", b"\0" + frame(1, struct.pack("<I", 2) + text(b"node") + struct.pack("<i", 7))
    yield "control", b"\3" + frame(64, struct.pack("<I", 1)) + frame(66, struct.pack("<Q", 0))
    yield "joined", b"\0" + frame(8, struct.pack("<IiiiIQB", 1, 0, 2, 9, 0, 0, 0))
    yield "clocks", b"\5" + frame(17, struct.pack("<QIiII", 1, 1, 0, 2, 1) + struct.pack("<I", 1) + clock)
    yield "refused", b"\0" + frame(33, struct.pack("<Qi", 1, 1) + text(b"rank 1: fd 7"))
    yield "long", b"\0" + struct.pack("<I", 1 << 30)
    yield "lying_count", b"\0" + frame(17, struct.pack("<QI", 1, 0xFFFFFFFF))


def shim_frames():
    clock, marker = struct.pack("QQII", 1, 7, 2, 0), struct.pack("iIQ", 1, 0, 5)
    yield "hello", b"\1" + struct.pack("IiiiQIiQ", 1, 9, 0, 2, 4096, 0, 5, 0)
    yield "clocks", b"\2" + struct.pack("QQQ", 1, 1, 1) + clock
    yield "sent", b"\5" + struct.pack("QQQ", 1, 1, 2) + marker * 2
    yield "drained", b"\6" + struct.pack("QQQ", 1, 2, 3)
    yield "cannot", b"\x0a" + b"fd 7 is a pipe".ljust(256, b"\0")
    yield "lying_count", b"\2" + struct.pack("QQQ", 1, 1, 1 << 61) + clock


def agent_channel():
    clock = struct.pack("QQII", 1, 7, 2, 0)
    yield "welcome", shim(32, struct.pack("Ii", 1, 9)) + shim(33, struct.pack("Q", 1))
    yield "targets", shim(34, struct.pack("QQQ", 1, 1, 1) + clock)
    yield "lying_count", shim(34, struct.pack("QQQ", 1, 1, 1 << 61) + clock)
    yield "long", struct.pack("<IIQ", 0x434B5054, 34, 1 << 40)
    yield "cut", shim(37, bytes(100))[:40]


def coordinator_json():
    good = {"host": "127.0.0.1", "port": 4711, "pid": 12, "key": "0123456789abcdef" * 4}
    yield "good", json.dumps(good).encode()
    yield "port", json.dumps(dict(good, port=1 << 20)).encode()
    yield "nested", b"[" * 200


def job_json():
    good = {"job": "sim", "command": ["mpirun", "-n", "2", "hex:ff00"], "environment": ["A=1", "hex:413dff"],
            "cwd": "/", "world_size": 2, "started_at_ns": 1, "restarted_from": 0,
            "options": {"every_seconds": 60, "keep": 2, "timeout_ms": 1000, "on_unsupported": "stop"}}
    yield "good", json.dumps(good).encode()
    yield "hex", json.dumps(dict(good, cwd="hex:0")).encode()
    yield "types", json.dumps(dict(good, world_size="2")).encode()


def proc():
    for number, name in enumerate(["maps", "smaps", "stat", "status", "limits", "fdinfo/0", "timers",
                                   "syscall", "auxv"]):
        # Of a program that has no secrets and no paths of this machine.
        content = subprocess.run(["cat", f"/proc/self/{name}"], stdin=subprocess.DEVNULL, cwd="/",
                                 env={"PATH": "/usr/bin:/bin"}, capture_output=True).stdout
        yield name.replace("/", "_"), bytes([number]) + content[:2000]
    yield "timer", b"\6ID: 1\nsignal: 10/0000000000000001\nnotify: signal/pid.12\nClockID: 0\n"
    yield "name", b"\2" + b"12 (a) b ) (c) S 1 " + b" ".join(b"%d" % n for n in range(48))


def generation():
    yield "good", b""
    yield "cut", struct.pack("<BIB", 1, 3000, 0)
    for place in (0, 8, 48, 96, 800, 2048, 5000, 9000):
        yield f"byte_{place}", struct.pack("<BIB", 0, place, 2) + b"\xff\x7f"
        yield f"zeroes_{place}", struct.pack("<BIB", 2, place, 64)


def rewritten_text():
    def trailer(*sites, size=3 * 4096):
        head = struct.pack("<QIIQQ", 0x434B505452575431, 1, len(sites), size, 3)
        return head + b"".join(struct.pack("<QII", offset, kind, 0) for offset, kind in sites)
    yield "good", trailer((7, 0), (4200, 1), (8400, 4))
    yield "kind", trailer((7, 6))
    yield "outside", trailer((3 * 4096 - 3, 0))
    yield "wraps", trailer((2 ** 64 - 3, 0))
    yield "size", trailer((7, 0), size=2 ** 64 - 1)


def library():
    source = "__thread int x; int get(void) { return x; } long nr(void) { return 9; }"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "l.so")
        subprocess.run(["cc", "-shared", "-nostdlib", "-fPIC", "-O1", "-s", "-ftls-model=initial-exec",
                        "-Wl,-z,noseparate-code,--build-id=none,-z,norelro", "-x", "c", "-", "-o", path],
                       input=source, text=True, check=True)
        with open(path, "rb") as file:
            yield "tiny", file.read()


for maker in (wire, shim_frames, agent_channel, coordinator_json, job_json, proc, generation,
              rewritten_text, library):
    folder = os.path.join(sys.argv[1], maker.__name__)
    os.makedirs(folder, exist_ok=True)
    for seed, content in maker():
        with open(os.path.join(folder, seed), "wb") as out:
            out.write(content)
