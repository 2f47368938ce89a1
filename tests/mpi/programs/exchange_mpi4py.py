"""mpi4py: pickled objects and NumPy buffers round a ring.

    exchange_mpi4py.py [ROUNDS]      default 4000

Prints one RESULT line: a hash over everything each rank received.
"""
import hashlib
import sys

import numpy
from mpi4py import MPI


def text_of(round_number, rank):
    return {"round": round_number, "from": rank, "word": "x" * (round_number % 300),
            "list": list(range(round_number % 50)), "pair": (rank, round_number / 7)}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    comm = MPI.COMM_WORLD.Dup()
    rank, size = comm.Get_rank(), comm.Get_size()
    right, left = (rank + 1) % size, (rank - 1) % size
    digest = hashlib.sha256()
    rows = numpy.zeros((64, 128))
    for number in range(rounds):
        request = comm.isend(text_of(number, rank), dest=right, tag=11)
        got = comm.recv(source=left, tag=11)
        request.wait()
        if got != text_of(number, left):
            raise SystemExit(f"rank {rank}: wrong object in round {number}")
        rows += numpy.arange(64 * 128).reshape(64, 128) % (number + 3)
        received = numpy.empty_like(rows)
        requests = [comm.Irecv(received, source=left, tag=12), comm.Isend(rows, dest=right, tag=12)]
        MPI.Request.Waitall(requests)
        digest.update(received[:: 1 + number % 5].tobytes())
        if number % 20 == 0:
            everyone = comm.allgather(digest.hexdigest()[:8])
            total = numpy.empty(128)
            comm.Allreduce(received[0], total, op=MPI.MAX)
            chosen = comm.bcast({"chosen": everyone[number % size]}, root=number % size)
            digest.update(repr((everyone, chosen)).encode() + total.tobytes())
    digests = comm.gather(digest.hexdigest(), root=0)
    if rank == 0:
        combined = hashlib.sha256("".join(digests).encode()).hexdigest()
        print(f"RESULT mpi4py rounds={rounds} digest={combined}", flush=True)
    comm.Free()


main()
