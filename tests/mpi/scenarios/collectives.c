/* Collectives that some ranks have begun, and the whole set before and after
 * the cut. */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

void scenario_barrier_late(void) {
  if (here.rank == 0)
    hold();
  else
    mark_ready();
  MPI_Barrier(MPI_COMM_WORLD);
  hold_after();
}

void scenario_bcast_late(void) {
  enum { kCount = 100000 };
  int* data = calloc(kCount, sizeof *data);
  CHECK(data, "malloc");
  if (here.rank == 2) {
    hold();
    for (int i = 0; i < kCount; i++) data[i] = i * 3;
  } else {
    mark_ready();
  }
  MPI_Bcast(data, kCount, MPI_INT, 2, MPI_COMM_WORLD);
  hold_after();
  for (int i = 0; i < kCount; i++) CHECK(data[i] == i * 3, "element %d is %d", i, data[i]);
  free(data);
}

void scenario_iallreduce_late(void) {
  enum { kCount = 5000 };
  long in[kCount], out[kCount];
  MPI_Request request;
  for (int i = 0; i < kCount; i++) in[i] = here.rank * 10 + i;
  memset(out, 0, sizeof out);
  if (here.rank < 2) hold();
  MPI_Iallreduce(in, out, kCount, MPI_LONG, MPI_SUM, MPI_COMM_WORLD, &request);
  if (here.rank >= 2) hold();
  hold_after();
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  for (int i = 0; i < kCount; i++) CHECK(out[i] == 60 + 4L * i, "element %d is %ld", i, out[i]);
}

void scenario_ibcast_late(void) {
  enum { kCount = 200000 };
  int* data = calloc(kCount, sizeof *data);
  CHECK(data, "malloc");
  MPI_Request requests[2];
  if (here.rank == 0) {
    for (int i = 0; i < kCount; i++) data[i] = i + 7;
    hold();
  }
  MPI_Ibcast(data, kCount, MPI_INT, 0, MPI_COMM_WORLD, &requests[0]);
  MPI_Ibarrier(MPI_COMM_WORLD, &requests[1]);
  if (here.rank != 0) hold();
  hold_after();
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount; i++) CHECK(data[i] == i + 7, "element %d is %d", i, data[i]);
  free(data);
}

void scenario_icollectives_pending(void) {
  int value = here.rank + 1, sum = 0, gathered[4] = {0}, to[4], from[4] = {0}, prefix = 0;
  MPI_Request requests[5];
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  for (int i = 0; i < 4; i++) to[i] = here.rank * 10 + i;
  MPI_Iallreduce(&value, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &requests[0]);
  MPI_Iallgather(&value, 1, MPI_INT, gathered, 1, MPI_INT, comm, &requests[1]);
  MPI_Ialltoall(to, 1, MPI_INT, from, 1, MPI_INT, MPI_COMM_WORLD, &requests[2]);
  MPI_Iscan(&value, &prefix, 1, MPI_INT, MPI_SUM, comm, &requests[3]);
  MPI_Ibarrier(comm, &requests[4]);
  hold();
  for (int left = 5; left > 0; left--) {
    int index;
    MPI_Waitany(5, requests, &index, MPI_STATUS_IGNORE);
    CHECK(index >= 0 && index < 5, "Waitany gave %d", index);
  }
  CHECK(sum == 10, "Iallreduce %d", sum);
  CHECK(prefix == (here.rank + 1) * (here.rank + 2) / 2, "Iscan %d", prefix);
  for (int i = 0; i < 4; i++) {
    CHECK(gathered[i] == i + 1, "Iallgather [%d] %d", i, gathered[i]);
    CHECK(from[i] == i * 10 + here.rank, "Ialltoall [%d] %d", i, from[i]);
  }
  MPI_Comm_free(&comm);
}

/* Three pairs of three ranks. Rank 1 is late: rank 0 stands in a collective of
 * {0,1}, rank 2 in one of {1,2}; {0,2} comes after both. */
void scenario_overlapping_late(void) {
  MPI_Comm pairs[3];
  MPI_Group world, group;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  for (int i = 0; i < 3; i++) {
    int members[2] = {i == 2 ? 0 : i, i == 2 ? 2 : i + 1};
    MPI_Group_incl(world, 2, members, &group);
    MPI_Comm_create(MPI_COMM_WORLD, group, &pairs[i]);
    MPI_Group_free(&group);
  }
  MPI_Group_free(&world);
  int value = here.rank + 1, sum = 0;
  if (here.rank == 0) {
    mark_ready();
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, pairs[0]);
    CHECK(sum == 3, "pair 0 1: %d", sum);
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, pairs[2]);
    CHECK(sum == 4, "pair 0 2: %d", sum);
  } else if (here.rank == 1) {
    hold();
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, pairs[1]);
    CHECK(sum == 5, "pair 1 2: %d", sum);
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, pairs[0]);
    CHECK(sum == 3, "pair 0 1: %d", sum);
  } else {
    mark_ready();
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, pairs[1]);
    CHECK(sum == 5, "pair 1 2: %d", sum);
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, pairs[2]);
    CHECK(sum == 4, "pair 0 2: %d", sum);
  }
  hold_after();
  for (int i = 0; i < 3; i++)
    if (pairs[i] != MPI_COMM_NULL) MPI_Comm_free(&pairs[i]);
}

/* C = {0, 2}, D = {1, 3}. Rank 2 stands in a collective on C, so rank 0 is
 * behind on C. But rank 0 first waits for a message of rank 1, which is level
 * and is stopped at the door of a collective on D. It has to be let through. */
void scenario_dependency_late(void) {
  MPI_Comm half;
  int token = 0, sum = 0, value = here.rank;
  MPI_Comm_split(MPI_COMM_WORLD, here.rank % 2, here.rank, &half);
  switch (here.rank) {
    case 0:
      mark_ready();
      MPI_Recv(&token, 1, MPI_INT, 1, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK(token == 4, "token %d", token);
      break;
    case 2: mark_ready(); break;
    default: hold();
  }
  MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, half);
  CHECK(sum == (here.rank % 2 ? 4 : 2), "sum %d", sum);
  if (here.rank == 1) MPI_Send(&sum, 1, MPI_INT, 0, 9, MPI_COMM_WORLD);
  hold_after();
  MPI_Comm_free(&half);
}

static void rooted(MPI_Comm comm, int rank, int n) {
  int own[2] = {rank, rank * rank}, all[64], counts[8], displacements[8], total = 0;
  for (int i = 0; i < n; i++) {
    counts[i] = i + 1;
    displacements[i] = total;
    total += i + 1;
  }
  for (int root = 0; root < n; root++) {
    int value = rank == root ? 77 + root : 0, sum = 0, part[8];
    MPI_Bcast(&value, 1, MPI_INT, root, comm);
    CHECK(value == 77 + root, "Bcast");
    MPI_Reduce(&rank, &sum, 1, MPI_INT, MPI_SUM, root, comm);
    CHECK(rank != root || sum == n * (n - 1) / 2, "Reduce");
    MPI_Gather(own, 2, MPI_INT, all, 2, MPI_INT, root, comm);
    for (int i = 0; rank == root && i < n; i++) CHECK(all[2 * i + 1] == i * i, "Gather");
    for (int i = 0; i < total; i++) all[i] = i;
    MPI_Scatterv(all, counts, displacements, MPI_INT, part, rank + 1, MPI_INT, root, comm);
    CHECK(part[rank] == displacements[rank] + rank, "Scatterv");
    for (int i = 0; i < total; i++) all[i] = -1;
    MPI_Gatherv(part, rank + 1, MPI_INT, all, counts, displacements, MPI_INT, root, comm);
    for (int i = 0; rank == root && i < total; i++) CHECK(all[i] == i, "Gatherv");
    MPI_Scatter(all, 1, MPI_INT, &value, 1, MPI_INT, root, comm);
    CHECK(rank == root || value == rank, "Scatter");
  }
}

static void symmetric(MPI_Comm comm, int rank, int n) {
  int in[8], out[64], counts[8], places[8], sum, value = rank + 1;
  MPI_Datatype types[8];
  for (int i = 0; i < n; i++) {
    in[i] = rank * 10 + i;
    counts[i] = 1;
    places[i] = i;
    types[i] = MPI_INT;
  }
  MPI_Allgather(&value, 1, MPI_INT, out, 1, MPI_INT, comm);
  for (int i = 0; i < n; i++) CHECK(out[i] == i + 1, "Allgather");
  MPI_Allgatherv(&value, 1, MPI_INT, out, counts, places, MPI_INT, comm);
  for (int i = 0; i < n; i++) CHECK(out[i] == i + 1, "Allgatherv");
  MPI_Alltoall(in, 1, MPI_INT, out, 1, MPI_INT, comm);
  for (int i = 0; i < n; i++) CHECK(out[i] == i * 10 + rank, "Alltoall");
  MPI_Alltoallv(in, counts, places, MPI_INT, out, counts, places, MPI_INT, comm);
  for (int i = 0; i < n; i++) CHECK(out[i] == i * 10 + rank, "Alltoallv");
  for (int i = 0; i < n; i++) places[i] = i * (int)sizeof(int);
  MPI_Alltoallw(in, counts, places, types, out, counts, places, types, comm);
  for (int i = 0; i < n; i++) CHECK(out[i] == i * 10 + rank, "Alltoallw");
  MPI_Reduce_scatter(in, &sum, counts, MPI_INT, MPI_SUM, comm);
  CHECK(sum == 10 * n * (n - 1) / 2 + n * rank, "Reduce_scatter");
  MPI_Reduce_scatter_block(in, &sum, 1, MPI_INT, MPI_SUM, comm);
  CHECK(sum == 10 * n * (n - 1) / 2 + n * rank, "Reduce_scatter_block");
  MPI_Scan(&value, &sum, 1, MPI_INT, MPI_SUM, comm);
  CHECK(sum == (rank + 1) * (rank + 2) / 2, "Scan");
  sum = 0;
  MPI_Exscan(&value, &sum, 1, MPI_INT, MPI_SUM, comm);
  CHECK(rank == 0 || sum == rank * (rank + 1) / 2, "Exscan");
  sum = value;
  MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_PROD, comm);
  int product = 1;
  for (int i = 1; i <= n; i++) product *= i;
  CHECK(sum == product, "Allreduce in place");
  struct {
    double value;
    int rank;
  } own = {10.0 - rank, rank}, least;
  MPI_Allreduce(&own, &least, 1, MPI_DOUBLE_INT, MPI_MINLOC, comm);
  CHECK(least.rank == n - 1, "MINLOC");
}

void scenario_collectives_after(void) {
  MPI_Comm reversed;
  int rank;
  MPI_Comm_split(MPI_COMM_WORLD, 0, -here.rank, &reversed);
  MPI_Comm_rank(reversed, &rank);
  for (int pass = 0; pass < 2; pass++) {
    rooted(MPI_COMM_WORLD, here.rank, here.size);
    symmetric(MPI_COMM_WORLD, here.rank, here.size);
    rooted(reversed, rank, here.size);
    symmetric(reversed, rank, here.size);
    if (pass == 0) hold();
  }
  MPI_Comm_free(&reversed);
}
