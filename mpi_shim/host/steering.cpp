#include "mpi_shim/host/steering.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/shm.h>
#include <sys/mman.h>

#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/raw_syscalls.h"
#include "mpi_shim/host/rewritten_format.h"
#include "mpi_shim/host/rewritten_text.hpp"

// Entries of steering_stubs.S: they keep all registers a system call keeps.
extern "C" {
void ckpt_steer_mmap_entry();
void ckpt_steer_brk_entry();
void ckpt_steer_mremap_entry();
void ckpt_steer_shmat_entry();
void ckpt_steer_syscall_entry();
void ckpt_steer_clone3_entry();
}

namespace ckpt::lower {
namespace {

constexpr uint64_t kStubSize = 16;

// jmp *2(%rip); .balign 8; .quad target
void write_stub(uint8_t* at, uint64_t target) {
  const uint8_t jump[8] = {0xff, 0x25, 0x02, 0x00, 0x00, 0x00, 0x0f, 0x0b};
  for (int i = 0; i < 8; ++i) at[i] = jump[i];
  *reinterpret_cast<uint64_t*>(at + 8) = target;
}

bool expected_at_site(const uint8_t* at, uint32_t kind) {
  if (at[5] != 0x0f || at[6] != 0x05) return false;              // syscall
  return kind == kSteerSyscall ? at[0] == 0x4c && at[1] == 0x8b  // mov 8(%rsp),%r9
                               : at[0] == 0xb8;                  // mov $nr,%eax
}

long steered_mremap(uint64_t old, uint64_t old_size, uint64_t new_size, int flags,
                    uint64_t new_address) {
  const long in_place =
      raw::call(SYS_mremap, raw::word(old), raw::word(old_size), raw::word(new_size),
                flags & ~MREMAP_MAYMOVE, raw::word(new_address));
  if (!(flags & MREMAP_MAYMOVE) || (flags & MREMAP_FIXED)) {
    if (!(flags & MREMAP_FIXED)) return in_place;
    return raw::call(SYS_mremap, raw::word(old), raw::word(old_size), raw::word(new_size), flags,
                     raw::word(new_address));
  }
  if (!raw::failed(in_place)) return in_place;
  const long place = arena_reserve(new_size);
  if (raw::failed(place)) return place;
  return raw::call(SYS_mremap, raw::word(old), raw::word(old_size), raw::word(new_size),
                   flags | MREMAP_FIXED, place);
}

long steered_shmat(int id, uint64_t address, int flags) {
  if (address != 0) return raw::call(SYS_shmat, id, raw::word(address), flags);
  struct shmid64_ds about;
  const long known = raw::call(SYS_shmctl, id, IPC_STAT, raw::word(&about));
  if (raw::failed(known)) return known;
  const long place = arena_reserve(about.shm_segsz);
  if (raw::failed(place)) return place;
  // SHM_REMAP takes the reserved range over.
  return raw::call(SYS_shmat, id, place, flags | SHM_REMAP);
}

}  // namespace

long steered_mmap(uint64_t address, uint64_t length, int protection, int flags, int fd,
                  int64_t offset) {
  constexpr int kPlaced = MAP_FIXED | MAP_FIXED_NOREPLACE;
  int text = -1;
  RewrittenTrailer trailer;
  if ((protection & PROT_EXEC) && !(flags & MAP_ANONYMOUS) && fd >= 0) {
    text = open_rewritten(fd, &trailer);
    if (text < 0) return text;
  }
  const int from = text >= 0 ? text : fd;
  long at;
  if (flags & kPlaced) {
    at = ckpt_in_arena(address) ? raw::mmap(address, length, protection, flags, from, offset)
                                : -ENOMEM;
  } else {
    at = arena_mmap(length, protection, flags & ~0x40 /* MAP_32BIT */, from, offset);
  }
  if (text >= 0) {
    raw::close(text);
    if (!raw::failed(at)) {
      const long steered = steer_text(trailer, at, offset, length, protection);
      if (steered != 0) return steered;
    }
  }
  return at;
}

long make_stubs() {
  static_assert(kSteerKinds * kStubSize <= kPage);
  const long page = arena_mmap(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw::failed(page)) return page;
  void (*const entries[kSteerKinds])() = {ckpt_steer_mmap_entry,    ckpt_steer_brk_entry,
                                          ckpt_steer_mremap_entry,  ckpt_steer_shmat_entry,
                                          ckpt_steer_syscall_entry, ckpt_steer_clone3_entry};
  for (uint32_t kind = 0; kind < kSteerKinds; ++kind) {
    const uint64_t at = page + kind * kStubSize;
    write_stub(reinterpret_cast<uint8_t*>(at), reinterpret_cast<uint64_t>(entries[kind]));
    control().stubs[kind] = at;
  }
  return raw::mprotect(page, kPage, PROT_READ | PROT_EXEC);
}

long steer_text(const RewrittenTrailer& trailer, uint64_t address, uint64_t offset, uint64_t length,
                int protection) {
  for (uint32_t i = 0; i < trailer.site_count; ++i) {
    const SteerSite& site = trailer.sites[i];
    if (site.file_offset < offset || site.file_offset + kSteerSiteSize > offset + length) continue;
    const uint64_t at = address + (site.file_offset - offset);
    uint8_t* code = reinterpret_cast<uint8_t*>(at);
    if (site.kind >= kSteerKinds || !expected_at_site(code, site.kind)) return -ENOEXEC;
    const int64_t distance = static_cast<int64_t>(control().stubs[site.kind] - (at + 5));
    if (distance != static_cast<int32_t>(distance)) return -ERANGE;
    const uint64_t page = page_down(at);
    const uint64_t size = page_up(at + kSteerSiteSize) - page;
    long changed = raw::mprotect(page, size, PROT_READ | PROT_WRITE);
    if (raw::failed(changed)) return changed;
    code[0] = 0xe8;
    for (int byte = 0; byte < 4; ++byte)
      code[1 + byte] = static_cast<uint8_t>(distance >> (8 * byte));
    code[5] = 0x66;
    code[6] = 0x90;
    changed = raw::mprotect(page, size, protection);
    if (raw::failed(changed)) return changed;
  }
  return 0;
}

}  // namespace ckpt::lower

extern "C" {

long ckpt_steer_mmap(uint64_t address, uint64_t length, long protection, long flags, long fd,
                     int64_t offset) {
  return ckpt::lower::steered_mmap(address, length, static_cast<int>(protection),
                                   static_cast<int>(flags), static_cast<int>(fd), offset);
}

// Two libcs must not share one program break: the lower half's malloc finds
// that it cannot grow and uses mmap. 0 is below any address asked for.
long ckpt_steer_brk() { return 0; }

long ckpt_steer_mremap(uint64_t old, uint64_t old_size, uint64_t new_size, long flags,
                       uint64_t new_address) {
  return ckpt::lower::steered_mremap(old, old_size, new_size, static_cast<int>(flags), new_address);
}

long ckpt_steer_shmat(long id, uint64_t address, long flags) {
  return ckpt::lower::steered_shmat(static_cast<int>(id), address, static_cast<int>(flags));
}

long ckpt_steer_syscall(long a, long b, long c, long d, long e, long f, long number) {
  switch (number) {
    case SYS_mmap: return ckpt_steer_mmap(a, b, c, d, e, f);
    case SYS_brk: return ckpt_steer_brk();
    case SYS_mremap: return ckpt_steer_mremap(a, b, c, d, e);
    case SYS_shmat: return ckpt_steer_shmat(a, b, c);
    default: return ckpt::raw::call(number, a, b, c, d, e, f);
  }
}
}
