// The arena's control page and its address allocation.
//
// Purpose: one page at a fixed address (the arena's first) through which all
//   that lives in a process share the arena: the shim's copy of the loader, or
//   the restorer's, the steering stubs and ckpt-mpi-host.
// Ownership: mapped by the first caller, never unmapped, never saved.
// Threads: addresses are handed out lock free (atomic add, then
//   MAP_FIXED_NOREPLACE; what is in use is skipped).
// Units: bytes; addresses are page aligned.
// Errors: -errno.
#pragma once

#include <stdint.h>

#include "mpi_shim/host/lower_half.h"

namespace ckpt::lower {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kControlMagic = 0x434b505441524e41ull;
inline constexpr int kDescriptorsMarked = 1 << 16;

inline uint64_t page_up(uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }
inline uint64_t page_down(uint64_t value) { return value & ~(kPage - 1); }

// Where a steered system call site jumps to.
enum Steer : uint32_t {
  kSteerMmap = 0,
  kSteerBrk,
  kSteerMremap,
  kSteerShmat,
  kSteerSyscall,  // libc's syscall(): dispatches on the number
  kSteerClone3,
  kSteerKinds
};

// struct ckpt_arena_control of arena_control.h is what ckpt-mpi-host (C) sees.
struct Control {
  uint64_t magic;
  volatile uint64_t next;       // next address to try
  uint64_t first;               // where `next` starts again at the arena's end
  uint64_t stubs[kSteerKinds];  // addresses of the jump stubs, in the arena
  uint64_t upper_stack;         // where return_to_upper goes back to
  void (*return_to_upper)(int64_t);
  struct ckpt_lower_table* table;  // set by the host
  int32_t thread_multiple;         // asked of the host
  int32_t descriptor_base;
  volatile uint32_t libraries_loaded;  // 0: a refusal ends the load, 1: it fails a dlopen
  uint32_t loaded_by_restart;
  char parts_dir[512];
  char cache_dir[512];
  struct ckpt_lower_error error;
  // Descriptors the host has moved up and not closed: one bit a number.
  volatile uint64_t descriptors[kDescriptorsMarked / 64];
};
inline constexpr uint64_t kControlSize = 4 * kPage;
static_assert(sizeof(Control) <= kControlSize);

inline Control& control() { return *reinterpret_cast<Control*>(CKPT_ARENA_START); }

// Maps the control page unless it is there. 0 or -errno.
long arena_open();

// Maps `length` bytes at an address of the arena not in use. Flags without
// MAP_FIXED. Returns the address or -errno.
long arena_mmap(uint64_t length, int prot, int flags, int fd, int64_t offset);

// An address range that was free a moment ago (for mremap and shmat, which
// must not replace: the caller maps it with MAP_FIXED_NOREPLACE first).
long arena_reserve(uint64_t length);

}  // namespace ckpt::lower
