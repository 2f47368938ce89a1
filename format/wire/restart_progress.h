/* How far the ranks of a restart are: a small file in the job's directory.
 *
 * Purpose: `ckpt-coord restart` makes JOB/restart-progress before it starts
 *   mpirun, with a record for each rank, all zero; the restorer of rank n
 *   writes record n; `restart` reads them to show where it is, and removes the
 *   file when the job runs. For the eye only: no decision rests on it, and a
 *   rank that cannot write it goes on.
 * Ownership: the file belongs to `restart`; a record to its rank.
 * Threads: one writer a record. A record is written by one pwrite.
 * Units: bytes of the payload. Errors: none are reported.
 * Source: ARCHITECTURE.md, "A restart".
 */
#ifndef CKPT_FORMAT_WIRE_RESTART_PROGRESS_H
#define CKPT_FORMAT_WIRE_RESTART_PROGRESS_H

#include <stdint.h>

#define CKPT_RESTART_PROGRESS_FILE "restart-progress"

enum ckpt_restart_phase {
  CKPT_RESTART_WAITING = 0,    /* mpirun has not started the rank yet */
  CKPT_RESTART_READING = 1,    /* pages are read and verified */
  CKPT_RESTART_REBUILDING = 2, /* memory is back; MPI_Init of the new lower half */
  CKPT_RESTART_CONTINUED = 3   /* the program's threads run */
};

struct ckpt_restart_record {
  uint32_t phase; /* enum ckpt_restart_phase */
  uint32_t reserved;
  uint64_t bytes_done, bytes_total;
};

#ifdef __cplusplus
static_assert(sizeof(struct ckpt_restart_record) == 24, "records lie one behind the other");
#else
_Static_assert(sizeof(struct ckpt_restart_record) == 24, "records lie one behind the other");
#endif

#endif
