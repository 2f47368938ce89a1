/* Requests that are pending at the cut. */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

enum { kSmall = 1000, kMedium = 100 << 10, kLarge = 8 << 20 };

static char* buffer_of(size_t size) {
  char* p = calloc(1, size);
  CHECK(p, "malloc %zu", size);
  return p;
}

void scenario_irecv_nothing_sent(void) {
  static char in[4][kSmall];
  char out[kSmall];
  if (here.rank == 0) {
    MPI_Request requests[4];
    MPI_Status statuses[4];
    memset(in, 0, sizeof in);
    MPI_Irecv(in[0], kSmall, MPI_BYTE, 1, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(in[1], kSmall, MPI_BYTE, 2, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(in[2], kSmall, MPI_BYTE, MPI_ANY_SOURCE, 7, MPI_COMM_WORLD, &requests[2]);
    MPI_Irecv(in[3], kSmall, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[3]);
    hold();
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Waitall(4, requests, statuses);
    /* Sent in this order: 1 -> tag 7, tag 1, tag 9; then 2 -> tag 7. */
    CHECK(filled(in[2], kSmall, 17) && statuses[2].MPI_SOURCE == 1, "ANY_SOURCE, tag 7");
    CHECK(filled(in[0], kSmall, 11) && statuses[0].MPI_TAG == 1, "source 1, tag 1");
    CHECK(filled(in[3], kSmall, 19) && statuses[3].MPI_TAG == 9, "wildcards");
    CHECK(filled(in[1], kSmall, 27) && statuses[1].MPI_SOURCE == 2, "source 2, ANY_TAG");
  } else {
    hold();
    MPI_Barrier(MPI_COMM_WORLD);
    const int tags[3] = {7, 1, 9};
    for (int i = 0; here.rank == 1 && i < 3; i++) {
      fill(out, kSmall, 10u + (unsigned)tags[i]);
      MPI_Send(out, kSmall, MPI_BYTE, 0, tags[i], MPI_COMM_WORLD);
    }
    char token = 0;
    if (here.rank == 1) {
      MPI_Send(&token, 1, MPI_BYTE, 2, 50, MPI_COMM_WORLD);
      return;
    }
    MPI_Recv(&token, 1, MPI_BYTE, 1, 50, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    fill(out, kSmall, 27);
    MPI_Send(out, kSmall, MPI_BYTE, 0, 7, MPI_COMM_WORLD);
  }
}

void scenario_irecv_in_flight(void) {
  char *small = buffer_of(kSmall), *large = buffer_of(1 << 20);
  MPI_Request requests[2];
  if (here.rank == 0) {
    MPI_Recv(small, 0, MPI_BYTE, 1, 40, MPI_COMM_WORLD, MPI_STATUS_IGNORE); /* they are posted */
    fill(small, kSmall, 41);
    fill(large, 1 << 20, 42);
    MPI_Isend(small, kSmall, MPI_BYTE, 1, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(large, 1 << 20, MPI_BYTE, 1, 2, MPI_COMM_WORLD, &requests[1]);
  } else {
    MPI_Irecv(small, kSmall, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(large, 1 << 20, MPI_BYTE, MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Send(small, 0, MPI_BYTE, 0, 40, MPI_COMM_WORLD);
  }
  hold();
  MPI_Status statuses[2];
  MPI_Waitall(2, requests, statuses);
  if (here.rank == 1) {
    int count;
    MPI_Get_count(&statuses[1], MPI_BYTE, &count);
    CHECK(filled(small, kSmall, 41) && filled(large, 1 << 20, 42), "wrong content");
    CHECK(count == 1 << 20 && statuses[1].MPI_SOURCE == 0 && statuses[1].MPI_TAG == 2,
          "wrong status");
  }
  free(small);
  free(large);
}

void scenario_isend_half(void) {
  enum { kHuge = 64 << 20 };
  char* buffer = buffer_of(kHuge);
  MPI_Request request;
  int done = 0;
  if (here.rank == 0) {
    fill(buffer, kHuge, 50);
    MPI_Isend(buffer, kHuge, MPI_BYTE, 1, 3, MPI_COMM_WORLD, &request);
    /* Push it on a little, not to its end. */
    for (int i = 0; i < 20 && !done; i++) MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  } else {
    memset(buffer, 0, kHuge);
    MPI_Irecv(buffer, kHuge, MPI_BYTE, 0, 3, MPI_COMM_WORLD, &request);
    for (int i = 0; i < 100000 && !done && !buffer[0] && !buffer[1]; i++)
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  }
  hold();
  if (!done) MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK(filled(buffer, kHuge, 50), "wrong content");
  free(buffer);
}

static int size_of_many(int i) {
  return i % 40 == 39 ? 300000 : i % 10 == 9 ? 20000 : 1 + (i * 37) % 3000;
}

void scenario_isend_many(void) {
  enum { kMany = 200 };
  int right = (here.rank + 1) % here.size, left = (here.rank + here.size - 1) % here.size;
  MPI_Request requests[kMany];
  char *out[kMany], *in = buffer_of(300000);
  for (int i = 0; i < kMany; i++) {
    out[i] = buffer_of((size_t)size_of_many(i));
    fill(out[i], (size_t)size_of_many(i), (unsigned)(i + 1000 * here.rank));
    MPI_Isend(out[i], size_of_many(i), MPI_BYTE, right, i % 3, MPI_COMM_WORLD, &requests[i]);
  }
  hold();
  for (int i = 0; i < kMany; i++) {
    MPI_Status status;
    int count;
    MPI_Recv(in, 300000, MPI_BYTE, left, i % 3, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    CHECK(count == size_of_many(i), "message %d has %d bytes", i, count);
    CHECK(filled(in, (size_t)count, (unsigned)(i + 1000 * left)), "message %d: content", i);
  }
  MPI_Waitall(kMany, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < kMany; i++) free(out[i]);
  free(in);
}

void scenario_issend_pending(void) {
  char buffer[kSmall];
  MPI_Request request;
  int done = 0;
  if (here.rank == 0) {
    fill(buffer, kSmall, 60);
    MPI_Issend(buffer, kSmall, MPI_BYTE, 1, 4, MPI_COMM_WORLD, &request);
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    CHECK(!done, "Issend complete though nobody received");
    hold();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  } else {
    hold();
    MPI_Recv(buffer, kSmall, MPI_BYTE, 0, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(filled(buffer, kSmall, 60), "wrong content");
  }
}

void scenario_rsend_in_flight(void) {
  char buffer[kSmall];
  MPI_Request request;
  if (here.rank == 0) {
    MPI_Recv(buffer, 0, MPI_BYTE, 1, 40, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    fill(buffer, kSmall, 61);
    /* Open MPI's blocking MPI_Rsend waits until the receiver progresses. */
    MPI_Irsend(buffer, kSmall, MPI_BYTE, 1, 5, MPI_COMM_WORLD, &request);
    hold();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Recv(buffer, 0, MPI_BYTE, 1, 40, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Rsend(buffer, kSmall, MPI_BYTE, 1, 6, MPI_COMM_WORLD);
  } else {
    MPI_Irecv(buffer, kSmall, MPI_BYTE, 0, 5, MPI_COMM_WORLD, &request);
    MPI_Send(buffer, 0, MPI_BYTE, 0, 40, MPI_COMM_WORLD);
    hold();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK(filled(buffer, kSmall, 61), "wrong content");
    MPI_Irecv(buffer, kSmall, MPI_BYTE, 0, 6, MPI_COMM_WORLD, &request);
    MPI_Send(buffer, 0, MPI_BYTE, 0, 40, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  }
}

void scenario_persistent_started(void) {
  char *in = buffer_of(kMedium), *out = buffer_of(kMedium), quiet[8];
  MPI_Request requests[4];
  int other = 1 - here.rank, flag;
  MPI_Recv_init(in, kMedium, MPI_BYTE, other, 6, MPI_COMM_WORLD, &requests[0]);
  MPI_Send_init(out, kMedium, MPI_BYTE, other, 6, MPI_COMM_WORLD, &requests[1]);
  MPI_Recv_init(quiet, 8, MPI_BYTE, MPI_ANY_SOURCE, 66, MPI_COMM_WORLD, &requests[2]);
  MPI_Ssend_init(out, 8, MPI_BYTE, other, 67, MPI_COMM_WORLD, &requests[3]); /* never started */
  fill(out, kMedium, 70u + (unsigned)here.rank);
  MPI_Startall(3, requests);
  hold();
  MPI_Test(&requests[2], &flag, MPI_STATUS_IGNORE);
  MPI_Test(&requests[3], &flag, MPI_STATUS_IGNORE);
  CHECK(flag, "an inactive persistent request tests true");
  for (unsigned i = 0; i < 5; i++) {
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK(filled(in, kMedium, 70u + (unsigned)other + 2 * i), "use %u: content", i);
    CHECK(requests[0] != MPI_REQUEST_NULL, "a persistent request became null");
    fill(out, kMedium, 70u + (unsigned)here.rank + 2 * (i + 1));
    MPI_Startall(2, requests);
  }
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  MPI_Send("silence", 8, MPI_BYTE, other, 66, MPI_COMM_WORLD);
  MPI_Wait(&requests[2], MPI_STATUS_IGNORE);
  CHECK(strcmp(quiet, "silence") == 0, "late message of a persistent receive");
  MPI_Start(&requests[3]);
  MPI_Recv(quiet, 8, MPI_BYTE, other, 67, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Wait(&requests[3], MPI_STATUS_IGNORE);
  for (int i = 0; i < 4; i++) MPI_Request_free(&requests[i]);
  free(in);
  free(out);
}

void scenario_bsend_in_flight(void) {
  enum { kMessages = 20, kShort = 100 };
  int size = kMessages * (kSmall + MPI_BSEND_OVERHEAD);
  MPI_Request requests[kMessages];
  char *attached = buffer_of((size_t)size), message[kSmall];
  if (here.rank == 0) {
    void* detached;
    int detached_size;
    MPI_Buffer_attach(attached, size);
    for (int i = 0; i < kMessages; i++) {
      fill(message, kSmall, 80u + (unsigned)i);
      /* Nonblocking: Open MPI's own MPI_Bsend may wait for the receiver's progress. */
      MPI_Ibsend(message, i % 2 ? kShort : kSmall, MPI_BYTE, 1, i % 2, MPI_COMM_WORLD,
                 &requests[i]);
    }
    hold();
    MPI_Waitall(kMessages, requests, MPI_STATUSES_IGNORE);
    MPI_Bsend(message, kSmall, MPI_BYTE, 1, 7, MPI_COMM_WORLD);
    MPI_Buffer_detach(&detached, &detached_size);
    CHECK(detached == attached && detached_size == size, "another buffer detached");
  } else {
    hold();
    for (int i = 0; i < kMessages; i++) {
      MPI_Recv(message, kSmall, MPI_BYTE, 0, i % 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK(filled(message, i % 2 ? kShort : kSmall, 80u + (unsigned)i), "message %d: content", i);
    }
    MPI_Recv(message, kSmall, MPI_BYTE, 0, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  free(attached);
}

void scenario_cancel_pending(void) {
  char buffer[kSmall], other_buffer[kSmall];
  MPI_Request request, kept;
  MPI_Status status;
  int cancelled;
  if (here.rank == 0) {
    MPI_Irecv(buffer, kSmall, MPI_BYTE, 1, 1, MPI_COMM_WORLD, &request);
    MPI_Irecv(other_buffer, kSmall, MPI_BYTE, 1, MPI_ANY_TAG, MPI_COMM_WORLD, &kept);
    hold();
    MPI_Cancel(&request);
    MPI_Wait(&request, &status);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK(cancelled, "not cancelled");
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Wait(&kept, &status);
    CHECK(filled(other_buffer, kSmall, 90) && status.MPI_TAG == 1, "the other receive");
  } else {
    hold();
    MPI_Barrier(MPI_COMM_WORLD);
    fill(buffer, kSmall, 90);
    MPI_Send(buffer, kSmall, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
  }
}

void scenario_self_message(void) {
  char out[kSmall], in[kSmall];
  MPI_Request requests[2];
  MPI_Status status;
  fill(out, kSmall, 95u + (unsigned)here.rank);
  MPI_Isend(out, kSmall, MPI_BYTE, here.rank, 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Isend(out, kSmall, MPI_BYTE, 0, 2, MPI_COMM_SELF, &requests[1]);
  hold();
  MPI_Recv(in, kSmall, MPI_BYTE, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &status);
  CHECK(filled(in, kSmall, 95u + (unsigned)here.rank) && status.MPI_SOURCE == here.rank, "world");
  memset(in, 0, kSmall);
  MPI_Recv(in, kSmall, MPI_BYTE, 0, 2, MPI_COMM_SELF, &status);
  CHECK(filled(in, kSmall, 95u + (unsigned)here.rank), "self");
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  MPI_Recv(in, kSmall, MPI_BYTE, MPI_PROC_NULL, 3, MPI_COMM_WORLD, &status);
  CHECK(status.MPI_SOURCE == MPI_PROC_NULL && status.MPI_TAG == MPI_ANY_TAG, "MPI_PROC_NULL");
}
