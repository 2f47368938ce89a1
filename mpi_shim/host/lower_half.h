/* The lower half: a second ld.so + libc + libmpi in an arena of addresses that
 * nothing else uses, loaded into a rank by the shim (first start) or by
 * ckpt-restorer (restart).
 *
 * Purpose: the arena's bounds, the table through which the upper half calls
 *   the lower one, and the calls that load it and attach a thread to it.
 * Ownership: the lower half is loaded once in a process and never unloaded.
 *   The table lives in the arena; the image never holds it.
 * Threads: ckpt_lower_load runs once, in the thread that becomes the lower
 *   half's main thread. ckpt_lower_attach_thread gives the calling thread TLS
 *   of the lower half (its GS base); without it a thread must not call there.
 * Errors: 0, or -errno with a text that names the library and the reason.
 * Source: DESIGN.md section 2; System V ABI x86-64; arch_prctl(2).
 *
 * This part is freestanding (no libc, no TLS, no stack protector): it runs
 * where no libc of its own exists.
 */
#ifndef CKPT_MPI_SHIM_HOST_LOWER_HALF_H
#define CKPT_MPI_SHIM_HOST_LOWER_HALF_H

#include <stddef.h>
#include <stdint.h>

#define CKPT_ARENA_START 0x200000000000ull
#define CKPT_ARENA_END 0x210000000000ull

static inline int ckpt_in_arena(uint64_t address) {
  return address >= CKPT_ARENA_START && address < CKPT_ARENA_END;
}

/* Descriptors of the lower half have numbers from here up; `soft_limit` is the
 * soft RLIMIT_NOFILE. Low enough for select(), high enough for the program. */
static inline int ckpt_descriptor_base(uint64_t soft_limit) {
  return soft_limit >= 4096 ? 2048 : (int)(soft_limit - soft_limit / 4);
}

#define CKPT_LOWER_MAGIC 0x434b50544c4f5752ull

/* What the lower half offers. `mpi` is indexed by enum ckpt_mpi_function
 * (generated from mpi_functions.tbl), `handles` by enum ckpt_predefined
 * (generated from predefined_handles.tbl); host and shim are of one build. */
struct ckpt_lower_table {
  uint64_t magic;
  uint32_t mpi_count;
  uint32_t handle_count;
  void* const* mpi;     /* PMPI_ entry points of the lower libmpi */
  void* const* handles; /* addresses of its predefined handles (MPI_COMM_WORLD ...) */
  int32_t provided;     /* thread level the lower half was initialised with */
  int32_t init_error;   /* MPI_SUCCESS, or what MPI_Init_thread returned */
  int32_t rank, world_size;
  int32_t descriptor_base; /* the lower half's descriptors have numbers >= this */
  int32_t reserved;
  uint64_t main_thread_gs; /* GS base of the thread that ran MPI_Init */
  struct ckpt_donor_pool* donors;
  void (*progress)(void);   /* drives its communication once (opal_progress), or 0 */
  char* const* environment; /* what this run's mpirun gave the rank, less LD_PRELOAD */
};

/* GS bases of parked lower-half threads. Taken by compare-exchange; when none
 * is left, `wanted` is raised and futex-woken: the host makes more. */
#define CKPT_DONORS_MAX 1024
struct ckpt_donor_pool {
  volatile uint32_t wanted;
  volatile uint32_t made;
  volatile uint64_t free_gs[CKPT_DONORS_MAX]; /* 0 = taken or not made */
};

struct ckpt_lower_request {
  const char* parts_dir; /* where ckpt-mpi-host and ckpt-rewrite lie */
  const char* cache_dir; /* rewritten libraries, made 0700 if missing */
  char* const* argv;     /* of the program (argv[0] shows in mpirun's messages) */
  char* const* envp;     /* LD_PRELOAD is dropped from it */
  int thread_multiple;   /* 1: MPI_THREAD_MULTIPLE, 0: MPI_THREAD_SINGLE */
  uint64_t vdso;         /* AT_SYSINFO_EHDR; 0 = take it from this process's auxv */
};

struct ckpt_lower_error {
  int code;       /* errno, or 0 */
  char text[400]; /* "rewrite /usr/lib/libfoo.so: fs access at 0x1234 in undecodable code" */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the lower half and runs its MPI_Init_thread. Returns 0 or -errno. */
int ckpt_lower_load(const struct ckpt_lower_request* request, struct ckpt_lower_table** table,
                    struct ckpt_lower_error* error);

/* Sets this thread's GS base: `as_main` for the thread that ran MPI_Init (or,
 * after a restart, the one that was it), else from a donor (waits for one to
 * be made). Returns the GS base, 0 when no more can be made. */
uint64_t ckpt_lower_attach_thread(struct ckpt_lower_table* table, int as_main);

/* Gives a donor's TLS back (the thread ends). */
void ckpt_lower_detach_thread(struct ckpt_lower_table* table, uint64_t gs);

/* mmap at an address of the arena that is not in use (opens the arena if need
 * be). For mappings that belong to a process but not to its image: the status
 * page, the restorer's memory. Returns the address, or -errno as a pointer. */
void* ckpt_arena_map(size_t length, int prot, int flags, int fd, int64_t offset);

#ifdef __cplusplus
}
#endif

#endif
