/* The adversary: a traffic of messages that shows any that is lost, doubled,
 * changed or out of order.
 *
 * Purpose: every rank can compute, from the seed alone, each message that any
 *   rank sends in any round: destination, communicator, tag, size, kind of
 *   send and every byte. So a receiver needs no header: the n-th message of a
 *   channel (source, communicator, tag) has one possible size and content.
 * Ownership: `struct traffic` owns its requests and buffers.
 * Threads: one. Units: bytes, messages.
 * Errors: a wrong message is described on stderr, then MPI_Abort.
 */
#ifndef CKPT_TESTS_MPI_ADVERSARY_H
#define CKPT_TESTS_MPI_ADVERSARY_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

enum {
  kLanes = 4, /* communicators, each received from in its own way */
  kTags = 5,
  kMaxRanks = 64,
  kSmallest = 1,
  kLargest = 8 << 20,
  kWildcardLimit = 32 << 10 /* largest message of the lane of wildcard receives */
};

enum lane {
  LANE_EXACT = 0,     /* Irecv of a source and a tag, into a buffer of the exact size */
  LANE_WILDCARD = 1,  /* Irecv of ANY_SOURCE and ANY_TAG, many posted */
  LANE_PROBED = 2,    /* Probe, Iprobe, Mprobe, then a receive; all sizes */
  LANE_PERSISTENT = 3 /* Recv_init, started again and again: one size, a tag a source */
};

enum send_kind { SEND_NORMAL, SEND_SYNCHRONOUS, SEND_BUFFERED };

struct message {
  int source, destination; /* ranks of MPI_COMM_WORLD */
  enum lane lane;
  int tag;
  enum send_kind kind;
  uint32_t sequence; /* in its channel (source, destination, lane, tag) */
  uint32_t size;
};

/* Walks through the messages of one source in the order it sends them. */
struct plan {
  uint64_t seed;
  int source, ranks;
  uint64_t next;
  uint32_t sequence[kMaxRanks][kLanes][kTags];
};

void plan_open(struct plan* plan, uint64_t seed, int source, int ranks);
struct message plan_next(struct plan* plan);

/* The size and the bytes a channel's message must have. */
uint32_t message_size(uint64_t seed, const struct message* m);
uint64_t message_key(uint64_t seed, const struct message* m);
void message_fill(uint64_t key, void* buffer, size_t size);
/* Index of the first wrong byte, or -1. */
long message_check(uint64_t key, const void* buffer, size_t size);
uint64_t mix(uint64_t x);

struct traffic;
struct traffic* traffic_open(uint64_t seed, int window);
/* Sends and receives all messages of one round; every receive of it is checked. */
void traffic_round(struct traffic* t, int round, int messages_per_rank);
/* Waits for what is still being sent. */
void traffic_close(struct traffic* t, uint64_t* messages, uint64_t* bytes, uint64_t* digest);

#endif
