/* The channel between a rank's shim and its node's agent.
 *
 * Purpose: all that crosses the Unix stream socket between libckpt_shim.so and
 *   ckpt-agent, and the page both of them map. Plain C structs: the shim has
 *   no serialiser. Both ends are of one build (checked by `version` in HELLO).
 * Ownership: the agent listens on $CKPT_AGENT_SOCKET; one connection a rank.
 *   The agent makes the status page (memfd) and passes it with WELCOME.
 * Threads: the shim's own thread alone reads and writes the socket; the status
 *   page is written by the shim (relaxed stores) and read by the agent.
 * Units: counts of messages or collectives; times in nanoseconds.
 * Errors: a short read or an unknown type ends the connection; the job goes on.
 *
 * Frame: struct ckpt_frame, then `length` bytes of payload: a fixed struct
 * (named below) and, for lists, `count` entries behind it.
 */
#ifndef CKPT_FORMAT_WIRE_SHIM_CHANNEL_H
#define CKPT_FORMAT_WIRE_SHIM_CHANNEL_H

#include <stdint.h>

#define CKPT_SHIM_CHANNEL_VERSION 2u
#define CKPT_FRAME_MAGIC 0x434b5054u /* "CKPT" */
#define CKPT_MAX_FRAME (64u << 20)

struct ckpt_frame {
  uint32_t magic;
  uint32_t type; /* enum ckpt_frame_type */
  uint64_t length;
};

/* THE table of frames. X(name, number, direction, payload struct, list entry) */
/* clang-format off */
#define CKPT_SHIM_FRAMES(X)                                                          \
  X(HELLO, 1, shim_to_agent, ckpt_hello, none)                                       \
  X(CLOCKS, 2, shim_to_agent, ckpt_list, ckpt_clock)     /* answer to QUIESCE */     \
  X(LEVEL, 3, shim_to_agent, ckpt_level, none)           /* level on targets vN */   \
  X(RAISE, 4, shim_to_agent, ckpt_list, ckpt_clock)      /* must pass these */       \
  X(SENT, 5, shim_to_agent, ckpt_list, ckpt_marker)      /* answer to CUT */         \
  X(DRAINED, 6, shim_to_agent, ckpt_drained, none)       /* answer to DRAIN */       \
  X(RESUMED, 7, shim_to_agent, ckpt_generation, none)    /* answer to RESUME */      \
  X(REBUILT, 8, shim_to_agent, ckpt_generation, none)    /* after a restart */       \
  X(FINALIZING, 9, shim_to_agent, none, none)            /* all ranks are in it */   \
  X(CANNOT, 10, shim_to_agent, ckpt_text, none)          /* refuse this generation */\
  X(WELCOME, 32, agent_to_shim, ckpt_welcome, none)      /* with the page's fd */    \
  X(QUIESCE, 33, agent_to_shim, ckpt_generation, none)                               \
  X(TARGETS, 34, agent_to_shim, ckpt_list, ckpt_clock)   /* arg = version */         \
  X(RELEASE, 35, agent_to_shim, ckpt_generation, none)   /* parked: pass one more */ \
  X(CUT, 36, agent_to_shim, ckpt_generation, none)                                   \
  X(DRAIN, 37, agent_to_shim, ckpt_list, ckpt_marker)    /* expected from peers */   \
  X(RESUME, 38, agent_to_shim, ckpt_generation, none)    /* at any state: go on */   \
  X(ALIVE, 39, agent_to_shim, ckpt_alive, none)          /* QUIESCE to RESUME, often */
/* clang-format on */

enum ckpt_frame_type {
#define CKPT_FRAME_ENUM(name, number, direction, payload, entry) CKPT_FRAME_##name = number,
  CKPT_SHIM_FRAMES(CKPT_FRAME_ENUM)
#undef CKPT_FRAME_ENUM
};

struct ckpt_hello {
  uint32_t version; /* CKPT_SHIM_CHANNEL_VERSION */
  int32_t pid;      /* as the shim sees it */
  int32_t rank;     /* in MPI_COMM_WORLD */
  int32_t world_size;
  uint64_t restart_block; /* address of struct ckpt_restart_block in the rank */
  uint32_t epoch;         /* 0 at first, +1 for each restart */
  int32_t channel_fd;     /* the shim's end of this socket: not the program's */
  uint64_t generation;    /* the generation it was restarted from, else 0 */
};

struct ckpt_welcome {
  uint32_t version;
  int32_t agent_pid; /* for prctl(PR_SET_PTRACER) */
};

struct ckpt_generation {
  uint64_t generation;
};

/* Head of every list; `arg` is the version for TARGETS, else the generation. */
struct ckpt_list {
  uint64_t generation;
  uint64_t arg;
  uint64_t count;
};

/* A communicator's collective clock. Its gid is the same at all members, in
 * the whole life of the job, restarts included; 1 is MPI_COMM_WORLD. */
struct ckpt_clock {
  uint64_t gid;
  uint64_t count;   /* CLOCKS, RAISE: collectives begun; TARGETS: the target */
  uint32_t members; /* communicator size */
  uint32_t reserved;
};

struct ckpt_level {
  uint64_t generation;
  uint64_t version; /* of the targets this rank is level with */
};

/* Messages sent on the channel (this rank, peer) since the job began. SENT:
 * peer = destination, DRAIN: peer = source. Ranks in MPI_COMM_WORLD. */
struct ckpt_marker {
  int32_t peer;
  uint32_t reserved;
  uint64_t count;
};

struct ckpt_drained {
  uint64_t generation;
  uint64_t logged_messages; /* in all channel logs of this rank now */
  uint64_t logged_bytes;
};

/* Ten times in `silence_ms` while the rank is held up. A rank that hears nothing
 * for twice as long (more than the coordinator needs to give the agent up) goes
 * on without the agent, which may only have been stopped: see `drained` below. */
struct ckpt_alive {
  uint32_t silence_ms; /* 0: no bound */
};

struct ckpt_text {
  char text[512];
};

/* What a rank is doing: the agent reads it to say who holds up a phase. */
struct ckpt_status_page {
  uint32_t phase;          /* enum ckpt_rank_phase */
  uint32_t threads_inside; /* program threads in the lower half now */
  uint64_t collectives_behind;
  uint64_t messages_expected; /* DRAIN: still to come */
  char inside[64];            /* name of an MPI function a thread is in, or "" */
};

enum ckpt_rank_phase {
  CKPT_RANK_RUNNING = 0,
  CKPT_RANK_QUIESCING = 1,
  CKPT_RANK_LEVEL = 2,
  CKPT_RANK_CUT = 3,
  CKPT_RANK_DRAINING = 4,
  CKPT_RANK_DRAINED = 5,
  CKPT_RANK_REBUILDING = 6
};

/* Lies in the shim's data (so: in the image). ckpt-restore-rank fills it in
 * after it put the memory back; the shim's thread, which was waiting for the
 * agent at the snapshot, finds `epoch` changed and rebuilds the MPI state. */
#define CKPT_RESTART_BLOCK_MAGIC 0x434b50545253544bull
struct ckpt_restart_block {
  uint64_t magic;
  volatile uint32_t epoch;
  uint32_t drained;       /* 1 from DRAINED until the doors are about to open, but
                             while a frame is read: with the rank stopped the agent
                             looks here, and takes no copy of one that went on */
  void* lower_table;      /* struct ckpt_lower_table* of the fresh lower half */
  uint64_t generation;    /* what it was restored from */
  char agent_socket[108]; /* of the new agent */
  char padding[4];
};

#ifdef __cplusplus
static_assert(sizeof(struct ckpt_frame) == 16, "frame layout");
static_assert(sizeof(struct ckpt_hello) == 40 && sizeof(struct ckpt_clock) == 24 &&
                  sizeof(struct ckpt_marker) == 16 && sizeof(struct ckpt_list) == 24,
              "payload layout");
static_assert(sizeof(struct ckpt_restart_block) == 144, "restart block layout");
#endif

#endif
