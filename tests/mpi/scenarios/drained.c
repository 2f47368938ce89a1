/* Messages that were sent, but not received, before the cut: they travel in
 * the channel log and must be received as if they came from the network. */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

enum { kSmall = 600, kLarge = 2 << 20 };

/* Sends without waiting for the receiver, whatever the size. */
static void send_away(const void* data, int bytes, int to, int tag, MPI_Comm comm,
                      MPI_Request* request) {
  MPI_Isend(data, bytes, MPI_BYTE, to, tag, comm, request);
}

void scenario_drained_vector(void) {
  enum { kBlocks = 64, kStride = 3 };
  int data[kBlocks], in[kBlocks * kStride];
  MPI_Request request;
  for (int i = 0; i < kBlocks; i++) data[i] = 1000 + i;
  if (here.rank == 0) {
    MPI_Isend(data, kBlocks, MPI_INT, 1, 1, MPI_COMM_WORLD, &request);
    hold();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    return;
  }
  hold();
  MPI_Datatype vector;
  MPI_Status status;
  int count, elements;
  MPI_Type_vector(kBlocks, 1, kStride, MPI_INT, &vector);
  MPI_Type_commit(&vector);
  for (int i = 0; i < kBlocks * kStride; i++) in[i] = -1;
  MPI_Recv(in, 1, vector, 0, 1, MPI_COMM_WORLD, &status);
  for (int i = 0; i < kBlocks * kStride - kStride + 1; i++)
    CHECK(in[i] == (i % kStride ? -1 : 1000 + i / kStride), "element %d is %d", i, in[i]);
  MPI_Get_count(&status, vector, &count);
  MPI_Get_elements(&status, vector, &elements);
  CHECK(count == 1 && elements == kBlocks, "count %d elements %d", count, elements);
  MPI_Type_free(&vector);
}

void scenario_drained_status(void) {
  char out[3][kSmall], in[kSmall];
  MPI_Request requests[3];
  if (here.rank == 0) {
    for (int i = 0; i < 3; i++) {
      fill(out[i], kSmall, 100u + (unsigned)i);
      send_away(out[i], kSmall - 100 * i, 1, i, MPI_COMM_WORLD, &requests[i]);
    }
    hold();
    MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
    return;
  }
  hold();
  MPI_Status status;
  int count;
  MPI_Recv(in, kSmall, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK(filled(in, kSmall, 100), "message 0");
  status.MPI_ERROR = 12345; /* a receive does not touch it */
  MPI_Recv(in, kSmall, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &status);
  MPI_Get_count(&status, MPI_BYTE, &count);
  CHECK(filled(in, kSmall - 100, 101) && count == kSmall - 100, "message 1: %d bytes", count);
  CHECK(status.MPI_SOURCE == 0 && status.MPI_TAG == 1, "message 1: envelope");
  MPI_Irecv(in, kSmall, MPI_BYTE, MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, &requests[0]);
  MPI_Waitall(1, requests, MPI_STATUSES_IGNORE);
  CHECK(filled(in, kSmall - 200, 102), "message 2");
}

void scenario_drained_any(void) {
  enum { kEach = 30 };
  if (here.rank != 0) {
    int values[kEach];
    MPI_Request requests[kEach];
    for (int i = 0; i < kEach; i++) {
      values[i] = here.rank * 1000 + i;
      MPI_Isend(&values[i], 1, MPI_INT, 0, i % 5, MPI_COMM_WORLD, &requests[i]);
    }
    hold();
    MPI_Waitall(kEach, requests, MPI_STATUSES_IGNORE);
    return;
  }
  hold();
  int next[8] = {0}, by_tag[8] = {0};
  /* First only tag 4 of anyone: the sixth, twelfth ... of each source. */
  for (int i = 0; i < kEach / 5; i++) {
    int value;
    MPI_Status status;
    MPI_Recv(&value, 1, MPI_INT, MPI_ANY_SOURCE, 4, MPI_COMM_WORLD, &status);
    int source = status.MPI_SOURCE;
    CHECK(value == source * 1000 + 4 + 5 * by_tag[source], "tag 4: %d from %d", value, source);
    by_tag[source]++;
  }
  for (int i = 0; i < (here.size - 1) * kEach - kEach / 5; i++) {
    int value;
    MPI_Status status;
    MPI_Recv(&value, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    int source = status.MPI_SOURCE;
    while (next[source] % 5 == 4 && next[source] / 5 < by_tag[source]) next[source]++;
    CHECK(value == source * 1000 + next[source], "%d from %d, expected number %d", value, source,
          next[source]);
    CHECK(status.MPI_TAG == next[source] % 5, "tag %d", status.MPI_TAG);
    next[source]++;
  }
}

void scenario_drained_mprobed(void) {
  char *large = malloc(kLarge), small[kSmall];
  CHECK(large, "malloc");
  if (here.rank == 0) {
    MPI_Request requests[3];
    fill(small, kSmall, 110);
    fill(large, kLarge, 111);
    send_away(small, kSmall, 1, 1, MPI_COMM_WORLD, &requests[0]);
    send_away(large, kLarge, 1, 2, MPI_COMM_WORLD, &requests[1]);
    send_away(small, 10, 1, 1, MPI_COMM_WORLD, &requests[2]);
    /* Until they are matched, so that the messages get under way at all. */
    MPI_Recv(NULL, 0, MPI_BYTE, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    hold();
    MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  } else {
    MPI_Message first, second;
    MPI_Status status;
    MPI_Request request;
    int count;
    MPI_Mprobe(0, 1, MPI_COMM_WORLD, &first, &status);
    MPI_Mprobe(MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, &second, &status);
    MPI_Send(NULL, 0, MPI_BYTE, 0, 3, MPI_COMM_WORLD);
    hold();
    MPI_Recv(small, kSmall, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &status); /* the third, not the first */
    MPI_Get_count(&status, MPI_BYTE, &count);
    CHECK(count == 10, "a matched message was received by another receive (%d bytes)", count);
    MPI_Imrecv(large, kLarge, MPI_BYTE, &second, &request);
    MPI_Wait(&request, &status);
    CHECK(filled(large, kLarge, 111) && status.MPI_TAG == 2, "second");
    MPI_Mrecv(small, kSmall, MPI_BYTE, &first, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    CHECK(filled(small, kSmall, 110) && count == kSmall && status.MPI_SOURCE == 0, "first");
  }
  free(large);
}

void scenario_drained_probe(void) {
  char out[4][kSmall], in[kSmall];
  MPI_Request requests[4];
  if (here.rank == 0) {
    for (int i = 0; i < 4; i++) {
      fill(out[i], kSmall, 120u + (unsigned)i);
      send_away(out[i], 100 + i, 1, i, MPI_COMM_WORLD, &requests[i]);
    }
    hold();
    MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
    return;
  }
  hold();
  MPI_Status status;
  MPI_Message message;
  int count, flag = 0;
  MPI_Probe(0, 2, MPI_COMM_WORLD, &status);
  MPI_Get_count(&status, MPI_BYTE, &count);
  CHECK(count == 102, "Probe: %d bytes", count);
  MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  CHECK(status.MPI_TAG == 0, "Probe of anything: tag %d", status.MPI_TAG);
  while (!flag) MPI_Iprobe(0, 3, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  MPI_Mprobe(0, 1, MPI_COMM_WORLD, &message, &status);
  MPI_Mrecv(in, kSmall, MPI_BYTE, &message, &status);
  CHECK(filled(in, 101, 121), "Mrecv");
  const int order[3] = {0, 2, 3};
  for (int i = 0; i < 3; i++) {
    MPI_Recv(in, kSmall, MPI_BYTE, 0, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK(status.MPI_TAG == order[i] &&
              filled(in, 100u + (unsigned)order[i], 120u + (unsigned)order[i]),
          "message %d", order[i]);
  }
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  CHECK(!flag, "Iprobe finds a message that was received");
}

void scenario_drained_truncated(void) {
  char out[kSmall], in[kSmall];
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  fill(out, kSmall, 130);
  if (here.rank == 0) {
    MPI_Request requests[3];
    for (int i = 0; i < 3; i++) send_away(out, kSmall, 1, i, comm, &requests[i]);
    hold();
    MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  } else {
    hold();
    MPI_Status status;
    MPI_Request request;
    int code, class;
    memset(in, 'x', kSmall);
    code = MPI_Recv(in, 100, MPI_BYTE, 0, 0, comm, &status);
    CHECK(code != MPI_SUCCESS, "no error at truncation");
    MPI_Error_class(code, &class);
    CHECK(class == MPI_ERR_TRUNCATE, "error class %d", class);
    for (int i = 100; i < kSmall; i++) CHECK(in[i] == 'x', "written behind the buffer: %d", i);
    MPI_Irecv(in, 10, MPI_BYTE, 0, 1, comm, &request);
    code = MPI_Wait(&request, &status);
    MPI_Error_class(code, &class);
    CHECK(class == MPI_ERR_TRUNCATE, "Irecv: error class %d", class);
    CHECK(MPI_Recv(in, kSmall, MPI_BYTE, 0, 2, comm, &status) == MPI_SUCCESS, "the next message");
    CHECK(filled(in, kSmall, 130), "the next message's content");
  }
  MPI_Comm_free(&comm);
}

void scenario_drained_order(void) {
  enum { kBefore = 20, kAfter = 20 };
  int values[kBefore + kAfter];
  MPI_Request requests[kBefore + kAfter];
  for (int i = 0; i < kBefore + kAfter; i++) values[i] = i;
  if (here.rank == 0) {
    for (int i = 0; i < kBefore; i++)
      MPI_Isend(&values[i], 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &requests[i]);
    hold();
    for (int i = kBefore; i < kBefore + kAfter; i++)
      MPI_Isend(&values[i], 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &requests[i]);
    MPI_Waitall(kBefore + kAfter, requests, MPI_STATUSES_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  } else {
    hold();
    MPI_Request in[kBefore + kAfter];
    int got[kBefore + kAfter];
    for (int i = 0; i < kBefore + kAfter; i++) {
      int source = i % 3 == 0 ? MPI_ANY_SOURCE : 0, tag = i % 2 ? MPI_ANY_TAG : 7;
      MPI_Irecv(&got[i], 1, MPI_INT, source, tag, MPI_COMM_WORLD, &in[i]);
    }
    MPI_Waitall(kBefore + kAfter, in, MPI_STATUSES_IGNORE);
    for (int i = 0; i < kBefore + kAfter; i++) CHECK(got[i] == i, "message %d is %d", i, got[i]);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

void scenario_drained_waitany(void) {
  enum { kEach = 6 };
  int out[kEach], in[2 * kEach];
  MPI_Request requests[2 * kEach];
  if (here.rank != 0) {
    for (int i = 0; i < kEach; i++) {
      out[i] = here.rank * 100 + i;
      MPI_Isend(&out[i], 1, MPI_INT, 0, i, MPI_COMM_WORLD, &requests[i]);
    }
    hold();
    MPI_Waitall(kEach, requests, MPI_STATUSES_IGNORE);
    return;
  }
  hold();
  for (int i = 0; i < 4; i++) MPI_Irecv(&in[i], 1, MPI_INT, 1, i, MPI_COMM_WORLD, &requests[i]);
  for (int i = 0; i < 4; i++) {
    int index;
    MPI_Status status;
    MPI_Waitany(4, requests, &index, &status);
    CHECK(in[index] == 100 + index && status.MPI_TAG == index, "Waitany %d", index);
  }
  for (int i = 0; i < 4; i++) MPI_Irecv(&in[i], 1, MPI_INT, 2, i, MPI_COMM_WORLD, &requests[i]);
  for (int left = 4; left > 0;) {
    int count, indices[4];
    MPI_Status statuses[4];
    MPI_Testsome(4, requests, &count, indices, statuses);
    for (int i = 0; i < count; i++)
      CHECK(in[indices[i]] == 200 + indices[i] && statuses[i].MPI_SOURCE == 2, "Testsome");
    left -= count;
  }
  MPI_Request persistent;
  MPI_Recv_init(&in[0], 1, MPI_INT, MPI_ANY_SOURCE, 4, MPI_COMM_WORLD, &persistent);
  int sum = 0;
  for (int i = 0; i < 2; i++) {
    MPI_Start(&persistent);
    MPI_Wait(&persistent, MPI_STATUS_IGNORE);
    sum += in[0];
  }
  CHECK(sum == 104 + 204, "persistent receives: %d", sum);
  MPI_Request_free(&persistent);
  for (int r = 1; r <= 2; r++) {
    MPI_Recv(&in[0], 1, MPI_INT, r, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(in[0] == r * 100 + 5, "the last of %d", r);
  }
}

void scenario_drained_communicators(void) {
  MPI_Comm comms[3];
  MPI_Request requests[3];
  int values[3], got;
  MPI_Comm_dup(MPI_COMM_WORLD, &comms[0]);
  MPI_Comm_split(MPI_COMM_WORLD, 0, -here.rank, &comms[1]); /* ranks in reverse */
  MPI_Comm_dup(comms[1], &comms[2]);
  for (int i = 0; i < 3; i++) {
    int rank;
    MPI_Comm_rank(comms[i], &rank);
    values[i] = i * 100 + here.rank;
    MPI_Isend(&values[i], 1, MPI_INT, (rank + 1) % here.size, 1, comms[i], &requests[i]);
  }
  hold();
  for (int i = 2; i >= 0; i--) {
    int rank;
    MPI_Status status;
    MPI_Comm_rank(comms[i], &rank);
    int left = (rank + here.size - 1) % here.size;
    MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[i], &status);
    int world_left = i == 0 ? left : here.size - 1 - left;
    CHECK(got == i * 100 + world_left && status.MPI_SOURCE == left, "communicator %d: %d", i, got);
  }
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < 3; i++) MPI_Comm_free(&comms[i]);
}
