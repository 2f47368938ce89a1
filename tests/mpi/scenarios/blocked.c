/* A rank stands in a blocking call. The other one holds, and releases it. */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

enum { kSmall = 1000, kLarge = 8 << 20 };

void scenario_recv_blocked(void) {
  static char buffer[kSmall];
  if (here.rank == 0) {
    hold();
    fill(buffer, sizeof buffer, 1);
    MPI_Send(buffer, kSmall, MPI_BYTE, 1, 5, MPI_COMM_WORLD);
  } else {
    MPI_Status status;
    memset(buffer, 0, sizeof buffer);
    mark_ready();
    MPI_Recv(buffer, kSmall, MPI_BYTE, 0, 5, MPI_COMM_WORLD, &status);
    CHECK(filled(buffer, sizeof buffer, 1), "wrong content");
    CHECK(status.MPI_SOURCE == 0 && status.MPI_TAG == 5, "wrong envelope %d %d", status.MPI_SOURCE,
          status.MPI_TAG);
  }
}

void scenario_probe_blocked(void) {
  char buffer[kSmall];
  if (here.rank == 0) {
    hold();
    fill(buffer, 777, 2);
    MPI_Send(buffer, 777, MPI_BYTE, 1, 6, MPI_COMM_WORLD);
  } else {
    MPI_Status status;
    int count;
    mark_ready();
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    CHECK(count == 777 && status.MPI_TAG == 6, "probed %d bytes, tag %d", count, status.MPI_TAG);
    MPI_Recv(buffer, kSmall, MPI_BYTE, status.MPI_SOURCE, 6, MPI_COMM_WORLD, &status);
    CHECK(filled(buffer, 777, 2), "wrong content");
  }
}

void scenario_mprobe_blocked(void) {
  char buffer[kSmall];
  if (here.rank == 0) {
    hold();
    fill(buffer, 333, 3);
    MPI_Send(buffer, 333, MPI_BYTE, 1, 7, MPI_COMM_WORLD);
  } else {
    MPI_Status status;
    MPI_Message message;
    int count;
    mark_ready();
    MPI_Mprobe(0, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    CHECK(count == 333, "probed %d bytes", count);
    MPI_Mrecv(buffer, count, MPI_BYTE, &message, &status);
    CHECK(message == MPI_MESSAGE_NULL && filled(buffer, 333, 3), "wrong content");
  }
}

void scenario_wait_blocked(void) {
  char first[kSmall], second[kSmall], own[kSmall];
  MPI_Request requests[3];
  int other = 1 - here.rank;
  MPI_Irecv(first, kSmall, MPI_BYTE, other, 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Irecv(second, kSmall, MPI_BYTE, other, 2, MPI_COMM_WORLD, &requests[1]);
  if (here.rank == 0) {
    hold();
    fill(own, kSmall, 10);
    MPI_Send(own, kSmall, MPI_BYTE, other, 2, MPI_COMM_WORLD);
    fill(own, kSmall, 11);
    MPI_Send(own, kSmall, MPI_BYTE, other, 1, MPI_COMM_WORLD);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK(filled(first, kSmall, 12) && filled(second, kSmall, 13), "wrong content");
  } else {
    int index;
    mark_ready();
    MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
    MPI_Wait(&requests[1 - index], MPI_STATUS_IGNORE);
    CHECK(filled(first, kSmall, 11) && filled(second, kSmall, 10), "wrong content");
    CHECK(requests[0] == MPI_REQUEST_NULL && requests[1] == MPI_REQUEST_NULL, "request not null");
    fill(own, kSmall, 12);
    MPI_Send(own, kSmall, MPI_BYTE, other, 1, MPI_COMM_WORLD);
    fill(own, kSmall, 13);
    MPI_Send(own, kSmall, MPI_BYTE, other, 2, MPI_COMM_WORLD);
  }
}

void scenario_large_send_blocked(void) {
  char* buffer = malloc(kLarge);
  CHECK(buffer, "malloc");
  if (here.rank == 0) {
    fill(buffer, kLarge, 20);
    mark_ready();
    MPI_Send(buffer, kLarge, MPI_BYTE, 1, 8, MPI_COMM_WORLD);
    memset(buffer, 0, kLarge); /* it is the sender's own again */
  } else {
    hold();
    MPI_Recv(buffer, kLarge, MPI_BYTE, 0, 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(filled(buffer, kLarge, 20), "wrong content");
  }
  free(buffer);
}

void scenario_ssend_blocked(void) {
  char buffer[kSmall];
  if (here.rank == 0) {
    fill(buffer, kSmall, 21);
    mark_ready();
    MPI_Ssend(buffer, kSmall, MPI_BYTE, 1, 9, MPI_COMM_WORLD);
    MPI_Send(buffer, 1, MPI_BYTE, 1, 10, MPI_COMM_WORLD);
  } else {
    hold();
    MPI_Recv(buffer, kSmall, MPI_BYTE, 0, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(filled(buffer, kSmall, 21), "wrong content");
    MPI_Recv(buffer, kSmall, MPI_BYTE, 0, 10, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

/* A ring in which the first rank is missing: the others have sent their own
 * message and wait for their neighbour's. */
void scenario_sendrecv_blocked(void) {
  enum { kBytes = 100000 };
  char *out = malloc(kBytes), *in = malloc(kBytes);
  CHECK(out && in, "malloc");
  int right = (here.rank + 1) % here.size, left = (here.rank + here.size - 1) % here.size;
  fill(out, kBytes, 30u + (unsigned)here.rank);
  if (here.rank == 0)
    hold();
  else
    mark_ready();
  MPI_Sendrecv(out, kBytes, MPI_BYTE, right, 3, in, kBytes, MPI_BYTE, left, 3, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
  CHECK(filled(in, kBytes, 30u + (unsigned)left), "wrong content");
  MPI_Sendrecv_replace(in, kBytes, MPI_BYTE, left, 4, right, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK(filled(in, kBytes, 30u + (unsigned)here.rank), "wrong content after replace");
  free(out);
  free(in);
}

void scenario_computing(void) {
  uint64_t x = 88172645463325252ull, steps = 0;
  if (here.rank == 0) {
    mark_ready();
    while (!go_given())
      for (int i = 0; i < 1000000; i++, steps++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
      }
    uint64_t again = 88172645463325252ull;
    for (uint64_t i = 0; i < steps; i++) {
      again ^= again << 13;
      again ^= again >> 7;
      again ^= again << 17;
    }
    CHECK(x == again, "the computation was disturbed");
    for (int r = 1; r < here.size; r++) MPI_Send(&x, 1, MPI_UINT64_T, r, 1, MPI_COMM_WORLD);
  } else {
    mark_ready();
    MPI_Recv(&x, 1, MPI_UINT64_T, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  uint64_t all;
  MPI_Allreduce(&x, &all, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
  CHECK(all == x, "ranks disagree");
}
