"""Objects through mpi4py, which loads libmpi out of sight of global look-ups."""

import sys

import numpy as np
from mpi4py import MPI

world = MPI.COMM_WORLD
out = open(f"{sys.argv[1]}.{world.rank}", "w")


def say(*what):
    print(*what, file=out)


def sum_twice(source, target, datatype):
    result = np.frombuffer(target, dtype="d")
    result += 2 * np.frombuffer(source, dtype="d")


def communicators():
    copy = world.Dup()
    copy.name = "copy"
    say(copy.name, MPI.Comm.Compare(world, copy), world.name)
    half = copy.Split(world.rank % 2, -world.rank)
    say(half.rank, half.size, half.allreduce(world.rank))
    keyval = MPI.Comm.Create_keyval(copy_fn=lambda comm, key, value: value, delete_fn=None)
    copy.Set_attr(keyval, "hello")
    another = copy.Dup()
    say(another.Get_attr(keyval))
    grid = world.Create_cart([2, world.size // 2], periods=[True, False])
    say(grid.topo, grid.Get_coords(world.rank), grid.Shift(0, 1))
    row = grid.Sub([False, True])
    say(row.rank, row.size, grid.neighbor_allgather(world.rank))
    for comm in (another, copy, half, row, grid):
        comm.Free()
    group = world.group.Incl([0, 2])
    say(group.size, group.rank, MPI.Group.Translate_ranks(group, [0, 1], world.group))


def data():
    say(world.allgather({"rank": world.rank}))
    sent = np.arange(10, dtype="d") * world.rank
    got = np.zeros(10)
    world.Allreduce(sent, got, MPI.SUM)
    say(got.tolist())
    op = MPI.Op.Create(lambda x, y, datatype=None: x + y, commute=True)
    say(world.allreduce([world.rank], op=op))
    twice = MPI.Op.Create(sum_twice)
    got[:] = 0
    world.Scan(sent, got, twice)
    say(got.tolist())
    twice.Free()
    vector = MPI.DOUBLE.Create_vector(2, 1, 3)
    vector.Commit()
    say(vector.size, vector.extent, vector.Get_envelope(), vector.Get_contents()[:2])
    vector.Free()


def messages():
    request = world.isend(list(range(world.rank * 10)), dest=(world.rank + 1) % world.size, tag=4)
    status = MPI.Status()
    got = world.recv(source=MPI.ANY_SOURCE, tag=4, status=status)
    say(len(got), status.source, status.tag)
    request.wait()
    request = world.irecv(source=(world.rank - 1) % world.size, tag=8)
    world.send("x" * 1000, (world.rank + 1) % world.size, tag=8)
    say(len(request.wait()))


def environment():
    try:
        world.Send([np.zeros(1), MPI.DOUBLE], dest=99)
    except MPI.Exception as error:
        say(error.Get_error_class(), error.Get_error_string())
    info = MPI.Info.Create()
    info.Set("a", "b")
    say(info.items())
    info.Free()
    say(world.Get_attr(MPI.TAG_UB), MPI.Get_version(), MPI.Query_thread())


for part in (communicators, data, messages, environment):
    part()
out.close()
