/* The plan of a restore: what ckpt-restore-rank (ordinary C++) hands to
 * ckpt-restorer (freestanding) when it jumps there.
 *
 * Purpose: everything the restorer needs, as plain data. Files are open
 *   already, checks are done already: what is left can hardly fail.
 * Ownership: the plan, all it points to, the restorer's code and its stacks
 *   lie in the restorer's zone of the arena, so they outlive the unmapping of
 *   all else. `scratch` (regions, runs, checksums) is unmapped by the restorer
 *   when it is done; what threads stand on stays and is never saved.
 * Threads: written by one thread, before the jump; then only the restorer's.
 * Units: bytes; pages of 4096 bytes; microseconds and nanoseconds as named.
 * Errors: after the jump, the restorer writes stage, subject and errno to
 *   `message_fd` and ends the process with CKPT_RESTORE_EXIT_STAGE.
 * Source: DESIGN.md section 2; prctl(2) PR_SET_MM_MAP; rt_sigaction(2).
 */
#ifndef CKPT_AGENT_RESTORER_RESTORE_PLAN_H
#define CKPT_AGENT_RESTORER_RESTORE_PLAN_H

#include <stdint.h>

#include "mpi_shim/host/lower_half.h"

/* The top of the arena: the lower half's allocation starts at its bottom. */
#define CKPT_RESTORER_ZONE_START (CKPT_ARENA_END - (64ull << 30))
#define CKPT_RESTORER_ZONE_END CKPT_ARENA_END

#define CKPT_RESTORE_PLAN_MAGIC 0x434b5054504c414eull
#define CKPT_RESTORE_PLAN_VERSION 1u

/* Exit codes of ckpt-restore-rank. */
#define CKPT_RESTORE_EXIT_USAGE 64   /* no image, no rank */
#define CKPT_RESTORE_EXIT_IMAGE 65   /* the image cannot be read, or is not this job's */
#define CKPT_RESTORE_EXIT_MACHINE 66 /* this machine or its files do not fit the image */
#define CKPT_RESTORE_EXIT_STAGE 70   /* a stage of the restorer failed */

enum ckpt_restore_stage {
#define CKPT_RESTORE_STAGE(name, text) CKPT_STAGE_##name,
#include "agent/restorer/stages.def"
#undef CKPT_RESTORE_STAGE
  CKPT_STAGE_COUNT
};

enum ckpt_plan_region_flags {
  CKPT_REGION_SHARED = 1u << 0,
  CKPT_REGION_GROWSDOWN = 1u << 1,
  CKPT_REGION_NORESERVE = 1u << 2,
  CKPT_REGION_FILLED = 1u << 3, /* contents come from the payload */
  CKPT_REGION_LOCKED = 1u << 4
};

struct ckpt_plan_region {
  uint64_t start, end;
  uint64_t file_offset;
  int32_t fd; /* -1: anonymous */
  uint32_t protection;
  uint32_t flags;
  uint32_t advice_before;   /* MADV_HUGEPAGE, or 0 */
  uint32_t advice_after[4]; /* MADV_*, 0 ends the list */
};

/* Sorted by index. Pages of the payload that no run names are only hashed. */
struct ckpt_plan_run {
  uint64_t address, pages, index;
};

/* A part of a shared file that was a hole or zero at the checkpoint. */
struct ckpt_plan_hole {
  uint64_t address, offset, length;
  int32_t fd;
  uint32_t reserved;
};

struct ckpt_plan_move {
  uint64_t from, to, size;
};

struct ckpt_plan_descriptor {
  int32_t number; /* where it goes */
  int32_t source; /* the open descriptor to take: a parked one, or `number` of an earlier entry */
  uint32_t close_on_exec;
  uint32_t truncate; /* 1: cut to `size` if longer */
  uint64_t size;
  int64_t offset; /* -1: not to be set */
};

struct ckpt_plan_sigaction {
  uint64_t handler, flags, restorer, mask; /* as the kernel's struct sigaction */
};

struct ckpt_plan_timer {
  int32_t id, clock, notify, signal;
  int32_t notify_thread; /* index into threads, -1 none */
  int32_t reserved;
  uint64_t value_pointer;
  int64_t value_ns, interval_ns;
};

struct ckpt_plan_thread {
  uint64_t registers[27]; /* struct user_regs_struct */
  char name[16];
  uint64_t signal_mask;
  uint64_t alt_stack, alt_stack_size;
  uint64_t robust_head, robust_length;
  uint64_t tid_address;
  uint64_t rseq_address;
  uint32_t rseq_length, rseq_signature;
  int32_t old_tid, new_tid;
  int32_t alt_stack_flags;
  uint32_t pending_count;
  const uint8_t* pending; /* siginfo_t of 128 bytes each */
  uint8_t* xsave;         /* 64-byte aligned, room for FP_XSTATE_MAGIC2 behind */
  uint64_t xsave_size;    /* as sigreturn is to take it */
  uint64_t xsave_features;
  uint64_t stack_top; /* of the restorer's stack for it */
  struct ckpt_restore_plan* plan;
};

struct ckpt_plan_layout { /* struct prctl_mm_map */
  uint64_t start_code, end_code, start_data, end_data;
  uint64_t start_brk, brk, start_stack;
  uint64_t arg_start, arg_end, env_start, env_end;
  uint64_t auxv;
  uint32_t auxv_size;
  int32_t executable_fd;
};

struct ckpt_restore_plan {
  uint64_t magic;
  uint32_t version;
  int32_t rank;
  int32_t message_fd;  /* the restorer's words go here */
  int32_t fault_stage; /* enum ckpt_restore_stage, or -1 */
  int32_t progress_fd; /* format/wire/restart_progress.h; -1: nobody looks */
  uint32_t unused;

  uint64_t scratch_start, scratch_size;

  struct ckpt_plan_move moves[4]; /* vvar, vvar_vclock, vdso */
  uint32_t move_count;
  uint32_t region_count;
  uint64_t vdso; /* AT_SYSINFO_EHDR once moved */

  struct ckpt_plan_layout layout;
  struct ckpt_plan_region* regions;
  struct ckpt_plan_hole* holes;
  uint64_t hole_count;

  int32_t payload_fd;   /* with O_DIRECT, where it can be had */
  uint32_t block_pages; /* pages a checksum covers; 0: there are none */
  uint64_t payload_offset, payload_pages;
  uint64_t run_count, block_count;
  struct ckpt_plan_run* runs;
  const uint64_t* block_checksums; /* xxh3_64 */
  uint8_t* block_buffer;           /* block_pages * 4096, page aligned: for what is only hashed */

  const char** names_to_remove; /* files under which ranks met: gone after MPI_Init */
  uint32_t name_count;
  uint32_t reserved;

  uint32_t descriptor_count, parked_count;
  struct ckpt_plan_descriptor* descriptors;
  const int32_t* parked;    /* closed once all are in place */
  uint32_t standard_closed; /* bit n: the program had closed descriptor n (0, 1, 2) */
  uint32_t pending_count;
  const uint8_t* pending; /* siginfo_t of 128 bytes each, the process's queue */

  struct ckpt_plan_sigaction signal_actions[64];
  int64_t interval_timers_us[3][2]; /* interval, value; REAL, VIRTUAL, PROF */
  struct ckpt_plan_timer* timers;
  uint32_t timer_count;
  uint32_t thread_count;
  struct ckpt_plan_thread* threads;

  uint64_t restart_block; /* 0: no MPI, no lower half */
  uint64_t generation;
  char agent_socket[108];
  int32_t thread_multiple;
  const char* parts_dir;
  const char* cache_dir;
  char** environment;

  volatile uint32_t threads_ready; /* the barrier */
  volatile uint32_t go;
};

#endif
