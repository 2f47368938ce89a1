#include "mpi_shim/host/arena.hpp"

#include <errno.h>
#include <sys/mman.h>

#include "mpi_shim/host/raw_syscalls.h"

namespace ckpt::lower {

long arena_open() {
  const long at = raw::mmap(CKPT_ARENA_START, kControlSize, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == -EEXIST) return control().magic == kControlMagic ? 0 : -EEXIST;
  if (raw::failed(at)) return at;
  Control& page = control();
  page.first = CKPT_ARENA_START + kControlSize;
  page.next = page.first;
  page.magic = kControlMagic;
  return 0;
}

long arena_mmap(uint64_t length, int prot, int flags, int fd, int64_t offset) {
  Control& page = control();
  const uint64_t size = page_up(length);
  if (size == 0 || size > (CKPT_ARENA_END - CKPT_ARENA_START) / 2) return -ENOMEM;
  // A page is left free between two mappings: an overrun faults, and the
  // kernel does not merge what different owners will protect differently.
  const uint64_t stride = size + kPage;
  uint64_t skip = stride;
  for (int tries = 0; tries < 100000; ++tries) {
    uint64_t at = __atomic_fetch_add(&page.next, skip, __ATOMIC_RELAXED);
    if (at + stride > CKPT_ARENA_END) {
      uint64_t seen = at + skip;
      __atomic_compare_exchange_n(&page.next, &seen, page.first, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED);
      continue;
    }
    const long got =
        raw::mmap(at, size, prot, (flags & ~MAP_FIXED) | MAP_FIXED_NOREPLACE, fd, offset);
    if (got != -EEXIST) return got;
    // Second time round the arena: long-lived mappings lie in the way.
    if (skip < (64ull << 20)) skip *= 2;
  }
  return -ENOMEM;
}

long arena_reserve(uint64_t length) {
  return arena_mmap(length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

}  // namespace ckpt::lower

extern "C" void* ckpt_arena_map(size_t length, int prot, int flags, int fd, int64_t offset) {
  const long opened = ckpt::lower::arena_open();
  if (opened != 0) return reinterpret_cast<void*>(opened);
  return reinterpret_cast<void*>(ckpt::lower::arena_mmap(length, prot, flags, fd, offset));
}
