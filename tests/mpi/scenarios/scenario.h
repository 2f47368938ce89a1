/* The scenarios: each brings an MPI job into one exact state, holds it there
 * while the harness checkpoints (and perhaps kills and restarts) it, and then
 * checks that the program cannot tell that anything happened.
 *
 * Purpose: the table of scenarios, and how one holds its state.
 * Protocol with the harness, through files in $SCENARIO_DIR, for each round
 *   (1 to $SCENARIO_ROUNDS, default 1):
 *     ready.ROUND.RANK  made by a rank whose state is reached (or is about to
 *                       be: the next thing it does is to block)
 *     go.ROUND          made by the harness: leave the state
 *     after.ROUND       made by the harness; `late` scenarios alone wait for
 *                       it, behind the state: with a collective that some
 *                       ranks have begun, a cut is possible only after the
 *                       others have followed, so `go` is given while the
 *                       checkpoint is under way.
 * Threads: a scenario says what level it wants; hold() uses no MPI.
 * Errors: CHECK describes what is wrong on stderr and aborts the job.
 */
#ifndef CKPT_TESTS_MPI_SCENARIO_H
#define CKPT_TESTS_MPI_SCENARIO_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, ranks, thread level, kind, what it shows) */
#define SCENARIOS(X)                                                                             \
  X(recv_blocked, 2, SINGLE, hold, "a rank is in MPI_Recv, nothing was sent")                    \
  X(probe_blocked, 2, SINGLE, hold, "a rank is in MPI_Probe")                                    \
  X(mprobe_blocked, 2, SINGLE, hold, "a rank is in MPI_Mprobe")                                  \
  X(wait_blocked, 2, SINGLE, hold, "ranks are in MPI_Waitall and MPI_Waitany")                   \
  X(large_send_blocked, 2, SINGLE, hold, "a rank is in a large MPI_Send that nobody receives")   \
  X(ssend_blocked, 2, SINGLE, hold, "a rank is in MPI_Ssend")                                    \
  X(sendrecv_blocked, 3, SINGLE, hold, "ranks are in MPI_Sendrecv, their message unread")        \
  X(computing, 4, SINGLE, hold, "a rank computes without MPI, the others wait for it")           \
  X(irecv_nothing_sent, 3, SINGLE, hold, "pending Irecv, wildcards too, nothing sent")           \
  X(irecv_in_flight, 2, SINGLE, hold, "Irecv posted, its message in flight")                     \
  X(isend_half, 2, SINGLE, hold, "a large Isend is half finished")                               \
  X(isend_many, 4, SINGLE, hold, "hundreds of Isend of all sizes, none received")                \
  X(issend_pending, 2, SINGLE, hold, "Issend: not complete before it is received")               \
  X(rsend_in_flight, 2, SINGLE, hold, "Rsend to a posted receive")                               \
  X(persistent_started, 2, SINGLE, hold, "started persistent requests, used again afterwards")   \
  X(bsend_in_flight, 2, SINGLE, hold, "Bsend through an attached buffer, unread")                \
  X(cancel_pending, 2, SINGLE, hold, "a pending Irecv is cancelled after the cut")               \
  X(self_message, 2, SINGLE, hold, "a message to the own rank, and to PROC_NULL")                \
  X(drained_vector, 2, SINGLE, hold, "an unread message is received into an MPI_Type_vector")    \
  X(drained_status, 2, SINGLE, hold, "... with MPI_STATUS_IGNORE and with a status")             \
  X(drained_any, 4, SINGLE, hold, "... by MPI_ANY_SOURCE and MPI_ANY_TAG, in order")             \
  X(drained_mprobed, 2, SINGLE, hold, "... matched by Mprobe before the cut, Mrecv after it")    \
  X(drained_probe, 2, SINGLE, hold, "... found by Probe, Iprobe, Mprobe after the cut")          \
  X(drained_truncated, 2, SINGLE, hold, "... into a buffer that is too small: MPI_ERR_TRUNCATE") \
  X(drained_order, 2, SINGLE, hold, "messages sent before and after the cut keep their order")   \
  X(drained_waitany, 3, SINGLE, hold, "... by Irecv with Waitany, Testsome, persistent")         \
  X(drained_communicators, 3, SINGLE, hold, "... on several communicators with equal tags")      \
  X(barrier_late, 4, SINGLE, late, "all but one rank are in MPI_Barrier")                        \
  X(bcast_late, 4, SINGLE, late, "the root of an MPI_Bcast is late")                             \
  X(iallreduce_late, 4, SINGLE, late, "MPI_Iallreduce begun by some ranks only")                 \
  X(ibcast_late, 4, SINGLE, late, "MPI_Ibcast begun by some ranks only")                         \
  X(icollectives_pending, 4, SINGLE, hold, "several nonblocking collectives begun by all")       \
  X(overlapping_late, 3, SINGLE, late, "ranks in collectives of overlapping communicators")      \
  X(dependency_late, 4, SINGLE, late, "a rank behind waits for one that stands at a door")       \
  X(collectives_after, 4, SINGLE, hold, "every collective before and after the cut")             \
  X(communicators, 4, SINGLE, hold, "split, dup, create, split_type, groups, compare")           \
  X(cartesian, 4, SINGLE, hold, "Cartesian topologies and their sub-grids")                      \
  X(attributes, 2, SINGLE, hold, "attributes with copy and delete callbacks")                    \
  X(error_handlers, 2, SINGLE, hold, "error handlers, error classes and texts")                  \
  X(names_info, 2, SINGLE, hold, "names of communicators and types, info objects")               \
  X(communicator_freed, 2, SINGLE, hold, "a communicator freed with a message in flight")        \
  X(datatypes, 2, SINGLE, hold, "derived types of every constructor")                            \
  X(datatypes_freed, 2, SINGLE, hold, "types freed while other types or requests use them")      \
  X(user_operations, 4, SINGLE, hold, "user-defined operations, commutative and not")            \
  X(packed, 2, SINGLE, hold, "MPI_Pack before the cut, MPI_Unpack after it")                     \
  X(helper_thread, 2, MULTIPLE, hold, "a second thread sends and receives all the time")         \
  X(thread_blocked, 2, MULTIPLE, hold, "a second thread is in MPI_Recv, the first computes")     \
  X(thread_new_after, 2, MULTIPLE, hold, "threads begin to use MPI after the cut")               \
  X(threads_without_mpi, 2, FUNNELED, hold, "threads in mutexes, condition variables, sleep")    \
  X(argv_environment, 2, SINGLE, hold, "argv and the environment are intact")                    \
  X(interval_timer, 2, SINGLE, hold, "an itimer goes on ticking")                                \
  X(signal_state, 2, SINGLE, hold, "handlers, mask, alternate stack, a pending signal")          \
  X(memory_layout, 2, SINGLE, hold, "heap, mappings with protections, guard pages, TLS")         \
  X(floating_point, 2, SINGLE, hold, "rounding mode and vector registers")                       \
  X(deep_stack, 2, SINGLE, hold, "a deep stack that goes on growing afterwards")                 \
  X(posix_shm, 2, SINGLE, hold, "POSIX shared memory between ranks, name kept")                  \
  X(posix_shm_unlinked, 2, SINGLE, hold, "... its name removed")                                 \
  X(append_file, 2, SINGLE, hold, "an output file open for append is written all the time")      \
  X(open_files, 2, SINGLE, hold, "offsets, duplicated descriptors, devices")                     \
  X(cwd_umask, 2, SINGLE, hold, "working directory, umask and limits")

#define DECLARE(name, ranks, level, kind, what) void scenario_##name(void);
SCENARIOS(DECLARE)
#undef DECLARE

struct position {
  int rank, size, round;
  const char* name;
  int argc;
  char** argv;
};
extern struct position here;

void mark_ready(void);
void wait_go(void); /* polls for go.ROUND, no MPI */
int go_given(void);
void hold(void);       /* mark_ready, then wait_go */
void hold_after(void); /* `late` scenarios: polls for after.ROUND */
/* A path in $SCENARIO_DIR. The text lives until the next call. */
const char* in_work_dir(const char* file_name);

/* Bytes that depend on seed and place, and the check of them. */
void fill(void* buffer, size_t size, unsigned seed);
int filled(const void* buffer, size_t size, unsigned seed);

void failed(const char* file, int line, const char* format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
#define CHECK(condition, ...) ((condition) ? (void)0 : failed(__FILE__, __LINE__, __VA_ARGS__))

#endif
