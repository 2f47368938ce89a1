#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adversary.h"

enum { kPosted = 24, kExactPosted = 64, kBsendBytes = 4 << 20 };
static const size_t kSendLimit = 48u << 20; /* bytes being sent at one time, at most */

struct outgoing {
  MPI_Request request;
  void* buffer;
  size_t size;
};

/* A posted receive. Receives of one lane are checked in the order in which
 * they were posted: that is the order in which MPI matches them. */
struct incoming {
  MPI_Request request;
  MPI_Status status;
  void* buffer;
  size_t capacity;
  int done;
};

struct queue {
  struct incoming* slots;
  int capacity, head, count;
};

struct traffic {
  uint64_t seed;
  int rank, ranks, window;
  MPI_Comm comm[kLanes];
  int to_world[kLanes][kMaxRanks], from_world[kLanes][kMaxRanks];
  struct plan own, others[kMaxRanks];
  struct outgoing* out;
  int out_count;
  size_t out_bytes;
  struct queue exact, wildcard;
  uint32_t arrived[kMaxRanks][kLanes][kTags];
  struct message* wanted; /* LANE_EXACT of this round, in the order in which they are posted */
  int wanted_count, wanted_next, wanted_capacity;
  int to_come[kLanes]; /* of this round, not checked yet */
  int to_post_wildcard, to_start[kMaxRanks];
  MPI_Request persistent[kMaxRanks];
  int persistent_active[kMaxRanks];
  char (*persistent_buffer)[1536];
  void *probe_buffer, *bsend_buffer;
  uint64_t messages, bytes, digest, turn;
};

static void wrong(struct traffic* t, const struct message* m, const char* what, long at) {
  fprintf(stderr, "adversary: rank %d: %s: source %d lane %d tag %d sequence %u size %u at %ld\n",
          t->rank, what, m->source, m->lane, m->tag, m->sequence, m->size, at);
  fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, 3);
}

static void* allocate(size_t size) {
  void* p = malloc(size);
  if (!p) {
    fprintf(stderr, "adversary: malloc %zu bytes failed\n", size);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  return p;
}

static void make_queue(struct queue* q, int capacity, size_t buffer) {
  q->slots = calloc((size_t)capacity, sizeof *q->slots);
  if (!q->slots) MPI_Abort(MPI_COMM_WORLD, 2);
  q->capacity = capacity;
  for (int i = 0; buffer && i < capacity; i++) {
    q->slots[i].buffer = allocate(buffer);
    q->slots[i].capacity = buffer;
  }
}

static void make_lanes(struct traffic* t) {
  MPI_Group world, group;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Comm_dup(MPI_COMM_WORLD, &t->comm[LANE_EXACT]);
  /* In reverse order, so that ranks differ from those of the world. */
  MPI_Comm_split(MPI_COMM_WORLD, 7, -t->rank, &t->comm[LANE_WILDCARD]);
  MPI_Comm_create(MPI_COMM_WORLD, world, &t->comm[LANE_PROBED]);
  int dims[1] = {t->ranks}, periods[1] = {1};
  MPI_Cart_create(MPI_COMM_WORLD, 1, dims, periods, 0, &t->comm[LANE_PERSISTENT]);
  for (int lane = 0; lane < kLanes; lane++) {
    int all[kMaxRanks];
    for (int i = 0; i < t->ranks; i++) all[i] = i;
    MPI_Comm_group(t->comm[lane], &group);
    MPI_Group_translate_ranks(group, t->ranks, all, world, t->to_world[lane]);
    MPI_Group_translate_ranks(world, t->ranks, all, group, t->from_world[lane]);
    MPI_Group_free(&group);
  }
  MPI_Group_free(&world);
}

struct traffic* traffic_open(uint64_t seed, int window) {
  struct traffic* t = calloc(1, sizeof *t);
  if (!t) MPI_Abort(MPI_COMM_WORLD, 2);
  t->seed = seed;
  t->window = window;
  MPI_Comm_rank(MPI_COMM_WORLD, &t->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &t->ranks);
  make_lanes(t);
  plan_open(&t->own, seed, t->rank, t->ranks);
  for (int r = 0; r < t->ranks; r++) plan_open(&t->others[r], seed, r, t->ranks);
  t->out = calloc((size_t)window, sizeof *t->out);
  make_queue(&t->exact, kExactPosted, 0);
  make_queue(&t->wildcard, kPosted, kWildcardLimit);
  t->probe_buffer = allocate(kLargest);
  t->persistent_buffer = allocate((size_t)t->ranks * sizeof *t->persistent_buffer);
  for (int r = 0; r < t->ranks; r++)
    MPI_Recv_init(t->persistent_buffer[r], 1500, MPI_BYTE, t->from_world[LANE_PERSISTENT][r], 0,
                  t->comm[LANE_PERSISTENT], &t->persistent[r]);
  t->bsend_buffer = allocate(kBsendBytes);
  MPI_Buffer_attach(t->bsend_buffer, kBsendBytes);
  return t;
}

/* A message has arrived on a lane: it must be the next of its channel. */
static void check(struct traffic* t, enum lane lane, const MPI_Status* status, const void* buffer) {
  struct message m = {.destination = t->rank, .lane = lane, .tag = status->MPI_TAG};
  int count;
  if (status->MPI_SOURCE < 0 || status->MPI_SOURCE >= t->ranks || m.tag < 0 || m.tag >= kTags)
    wrong(t, &m, "impossible envelope", status->MPI_SOURCE);
  m.source = t->to_world[lane][status->MPI_SOURCE];
  m.sequence = t->arrived[m.source][lane][m.tag]++;
  m.size = message_size(t->seed, &m);
  MPI_Get_count(status, MPI_BYTE, &count);
  if (count < 0 || (uint32_t)count != m.size) wrong(t, &m, "wrong size", count);
  uint64_t key = message_key(t->seed, &m);
  long bad = message_check(key, buffer, m.size);
  if (bad >= 0) wrong(t, &m, "wrong byte", bad);
  if (t->to_come[lane]-- <= 0) wrong(t, &m, "one message too many", 0);
  t->messages++;
  t->bytes += m.size;
  t->digest += mix(key + m.size);
}

static void send_one(struct traffic* t, const struct message* m) {
  struct outgoing* o = &t->out[t->out_count];
  o->size = m->size;
  o->buffer = allocate(m->size);
  message_fill(message_key(t->seed, m), o->buffer, m->size);
  int to = t->from_world[m->lane][m->destination], n = (int)m->size;
  MPI_Comm comm = t->comm[m->lane];
  if (m->kind == SEND_BUFFERED) {
    MPI_Bsend(o->buffer, n, MPI_BYTE, to, m->tag, comm);
    free(o->buffer);
    return;
  }
  if (m->kind == SEND_SYNCHRONOUS)
    MPI_Issend(o->buffer, n, MPI_BYTE, to, m->tag, comm, &o->request);
  else
    MPI_Isend(o->buffer, n, MPI_BYTE, to, m->tag, comm, &o->request);
  t->out_bytes += o->size;
  t->out_count++;
}

static void reap_sends(struct traffic* t) {
  for (int i = 0; i < t->out_count;) {
    int done;
    MPI_Test(&t->out[i].request, &done, MPI_STATUS_IGNORE);
    if (!done) {
      i++;
      continue;
    }
    t->out_bytes -= t->out[i].size;
    free(t->out[i].buffer);
    t->out[i] = t->out[--t->out_count];
  }
}

static void serve_queue(struct traffic* t, struct queue* q, enum lane lane) {
  for (int i = 0; i < q->count; i++) {
    struct incoming* in = &q->slots[(q->head + i) % q->capacity];
    if (!in->done) MPI_Test(&in->request, &in->done, &in->status);
  }
  while (q->count && q->slots[q->head].done) {
    struct incoming* in = &q->slots[q->head];
    check(t, lane, &in->status, in->buffer);
    if (lane == LANE_EXACT) free(in->buffer);
    q->head = (q->head + 1) % q->capacity;
    q->count--;
  }
}

static struct incoming* new_slot(struct queue* q) {
  struct incoming* in = &q->slots[(q->head + q->count++) % q->capacity];
  in->done = 0;
  return in;
}

static void serve_posted(struct traffic* t) {
  serve_queue(t, &t->exact, LANE_EXACT);
  while (t->exact.count < t->exact.capacity && t->wanted_next < t->wanted_count) {
    const struct message* m = &t->wanted[t->wanted_next++];
    struct incoming* in = new_slot(&t->exact);
    in->buffer = allocate(m->size);
    MPI_Irecv(in->buffer, (int)m->size, MPI_BYTE, t->from_world[LANE_EXACT][m->source], m->tag,
              t->comm[LANE_EXACT], &in->request);
  }
  serve_queue(t, &t->wildcard, LANE_WILDCARD);
  while (t->wildcard.count < t->wildcard.capacity && t->to_post_wildcard > 0) {
    struct incoming* in = new_slot(&t->wildcard);
    t->to_post_wildcard--;
    MPI_Irecv(in->buffer, kWildcardLimit, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG,
              t->comm[LANE_WILDCARD], &in->request);
  }
}

static void serve_probed(struct traffic* t) {
  MPI_Comm comm = t->comm[LANE_PROBED];
  MPI_Status status;
  int found = 0, size;
  if (t->to_come[LANE_PROBED] == 0) return;
  uint64_t way = mix(t->seed + t->turn++);
  if (way % 2) {
    MPI_Message message;
    MPI_Improbe(MPI_ANY_SOURCE, way % 3 ? MPI_ANY_TAG : (int)(way % kTags), comm, &found, &message,
                &status);
    if (!found) return;
    MPI_Get_count(&status, MPI_BYTE, &size);
    MPI_Mrecv(t->probe_buffer, size, MPI_BYTE, &message, &status);
  } else {
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &found, &status);
    if (!found) return;
    MPI_Get_count(&status, MPI_BYTE, &size);
    MPI_Recv(t->probe_buffer, size, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, comm, &status);
  }
  check(t, LANE_PROBED, &status, t->probe_buffer);
}

static void serve_persistent(struct traffic* t) {
  for (int r = 0; r < t->ranks; r++) {
    int done = 0;
    MPI_Status status;
    if (t->persistent_active[r]) {
      MPI_Test(&t->persistent[r], &done, &status);
      if (!done) continue;
      t->persistent_active[r] = 0;
      check(t, LANE_PERSISTENT, &status, t->persistent_buffer[r]);
    }
    if (t->to_start[r] > 0) {
      t->to_start[r]--;
      t->persistent_active[r] = 1;
      MPI_Start(&t->persistent[r]);
    }
  }
}

/* What this rank receives in a round: all that the others' plans send to it. */
static void expect_round(struct traffic* t, int messages_per_rank) {
  t->wanted_count = t->wanted_next = 0;
  for (int i = 0; i < messages_per_rank; i++)
    for (int r = 0; r < t->ranks; r++) {
      struct message m = plan_next(&t->others[r]);
      if (m.destination != t->rank) continue;
      t->to_come[m.lane]++;
      if (m.lane == LANE_WILDCARD) t->to_post_wildcard++;
      if (m.lane == LANE_PERSISTENT) t->to_start[r]++;
      if (m.lane != LANE_EXACT) continue;
      if (t->wanted_count == t->wanted_capacity) {
        t->wanted_capacity = t->wanted_capacity ? 2 * t->wanted_capacity : 256;
        t->wanted = realloc(t->wanted, (size_t)t->wanted_capacity * sizeof *t->wanted);
        if (!t->wanted) MPI_Abort(MPI_COMM_WORLD, 2);
      }
      t->wanted[t->wanted_count++] = m;
    }
}

static int round_complete(const struct traffic* t) {
  for (int lane = 0; lane < kLanes; lane++)
    if (t->to_come[lane]) return 0;
  return 1;
}

/* A collective in between, begun here and completed while messages flow. */
static void begin_collective(struct traffic* t, int round, uint64_t* value, uint64_t* sum,
                             MPI_Request* request) {
  *value = mix(t->seed + (uint64_t)round * 64 + (uint64_t)t->rank);
  *sum = 0;
  MPI_Iallreduce(value, sum, 1, MPI_UINT64_T, MPI_SUM, t->comm[round % kLanes], request);
}

static void end_collective(struct traffic* t, int round, const uint64_t* sum,
                           MPI_Request* request) {
  uint64_t expected = 0;
  MPI_Wait(request, MPI_STATUS_IGNORE);
  for (int r = 0; r < t->ranks; r++) expected += mix(t->seed + (uint64_t)round * 64 + (uint64_t)r);
  if (*sum != expected) {
    fprintf(stderr, "adversary: rank %d: wrong Iallreduce in round %d\n", t->rank, round);
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
}

void traffic_round(struct traffic* t, int round, int messages_per_rank) {
  MPI_Request collective;
  uint64_t value, sum;
  int sent = 0;
  begin_collective(t, round, &value, &sum, &collective);
  expect_round(t, messages_per_rank);
  while (sent < messages_per_rank || !round_complete(t)) {
    /* First fill the window, and only then receive: so that as much as
     * possible is under way at any moment. */
    while (sent < messages_per_rank && t->out_count < t->window && t->out_bytes < kSendLimit) {
      struct message next = plan_next(&t->own);
      send_one(t, &next);
      sent++;
    }
    serve_posted(t);
    serve_persistent(t);
    for (int i = 0; i < 8; i++) serve_probed(t);
    reap_sends(t);
  }
  end_collective(t, round, &sum, &collective);
  if (round % 8 == 7) MPI_Barrier(t->comm[(round / 8) % kLanes]);
}

void traffic_close(struct traffic* t, uint64_t* messages, uint64_t* bytes, uint64_t* digest) {
  while (t->out_count) reap_sends(t);
  void* detached;
  int size;
  MPI_Buffer_detach(&detached, &size);
  uint64_t own[3] = {t->messages, t->bytes, t->digest}, all[3];
  MPI_Allreduce(own, all, 3, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  *messages = all[0];
  *bytes = all[1];
  *digest = all[2];
  for (int r = 0; r < t->ranks; r++) MPI_Request_free(&t->persistent[r]);
  for (int lane = 0; lane < kLanes; lane++) MPI_Comm_free(&t->comm[lane]);
  for (int i = 0; i < t->wildcard.capacity; i++) free(t->wildcard.slots[i].buffer);
  free(t->wildcard.slots);
  free(t->exact.slots);
  free(t->out);
  free(t->wanted);
  free(t->probe_buffer);
  free(t->bsend_buffer);
  free(t->persistent_buffer);
  free(t);
}
