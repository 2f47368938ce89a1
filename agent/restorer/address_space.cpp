#include "agent/restorer/address_space.hpp"

#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/mman.h>

#include "agent/restorer/report.hpp"
#include "mpi_shim/host/raw_syscalls.h"

namespace ckpt::restorer {
namespace {

constexpr uint64_t kUserSpaceEnd = 0x7ffffffff000ull;

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

void unmap_gap(const ckpt_restore_plan& plan, uint64_t from, uint64_t to) {
  if (from < to) must(plan, "munmap", from, raw::munmap(from, to - from));
}

// Reads /proc/self/maps in pieces and finds whether a mapping starts at `start`.
bool mapping_starts_at(const ckpt_restore_plan& plan, uint64_t start) {
  const int fd = raw::open("/proc/self/maps", 0 /* O_RDONLY */);
  must(plan, "open /proc/self/maps", 0, fd);
  char piece[4096];
  bool found = false;
  bool in_address = true;  // at the head of a line
  uint64_t value = 0;
  for (;;) {
    const long got = raw::call(SYS_read, fd, raw::word(piece), sizeof piece);
    if (got == -EINTR) continue;
    must(plan, "read /proc/self/maps", 0, got);
    if (got == 0) break;
    for (long i = 0; i < got; ++i) {
      const char c = piece[i];
      if (c == '\n') {
        in_address = true;
        value = 0;
      } else if (in_address && c == '-') {
        in_address = false;
        found = found || value == start;
      } else if (in_address) {
        value = value * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
      }
    }
  }
  raw::close(fd);
  return found;
}

void advise(const ckpt_restore_plan& plan, const ckpt_plan_region& region, uint32_t advice) {
  const long result = raw::call(SYS_madvise, raw::word(region.start),
                                raw::word(region.end - region.start), static_cast<long>(advice));
  // Advice is advice: the program runs without it, only perhaps slower.
  if (raw::failed(result) && result != -EINVAL) warn(plan, "madvise", region.start, result);
}

}  // namespace

void detach_from_libc(const ckpt_restore_plan& plan) {
  uint64_t all = ~0ull;
  must(plan, "rt_sigprocmask", 0,
       raw::call(SYS_rt_sigprocmask, SIG_SETMASK, raw::word(&all), 0, sizeof all));
  for (int signal = 1; signal <= 64; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    ckpt_plan_sigaction default_action{};
    raw::call(SYS_rt_sigaction, signal, raw::word(&default_action), 0, sizeof(uint64_t));
  }
  raw::call(SYS_set_robust_list, 0, 24);
  raw::call(SYS_set_tid_address, 0);
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  raw::call(SYS_sigaltstack, raw::word(&none), 0);
}

void unmap_outside_arena(const ckpt_restore_plan& plan) {
  // What is kept, in ascending order: the arena lies below vdso and vvar.
  struct Kept {
    uint64_t start, end;
  } kept[5];
  uint32_t count = 0;
  kept[count++] = {CKPT_ARENA_START, CKPT_ARENA_END};
  for (uint32_t i = 0; i < plan.move_count; ++i) {
    Kept next{plan.moves[i].from, plan.moves[i].from + plan.moves[i].size};
    uint32_t at = count++;
    for (; at > 0 && kept[at - 1].start > next.start; --at) kept[at] = kept[at - 1];
    kept[at] = next;
  }
  uint64_t from = 0;
  for (uint32_t i = 0; i < count; ++i) {
    unmap_gap(plan, from, kept[i].start);
    from = kept[i].end;
  }
  unmap_gap(plan, from, kUserSpaceEnd);
}

void move_vdso(const ckpt_restore_plan& plan) {
  constexpr long kMove = 3;  // MREMAP_MAYMOVE | MREMAP_FIXED
  uint64_t aside = CKPT_RESTORER_ZONE_START - (64ull << 20);
  uint64_t held[4] = {};
  for (uint32_t i = 0; i < plan.move_count; ++i) {
    const ckpt_plan_move& move = plan.moves[i];
    held[i] = aside;
    aside += move.size;
    must(plan, "mremap aside", move.from,
         raw::call(SYS_mremap, raw::word(move.from), raw::word(move.size), raw::word(move.size),
                   kMove, raw::word(held[i])));
  }
  for (uint32_t i = 0; i < plan.move_count; ++i) {
    const ckpt_plan_move& move = plan.moves[i];
    must(plan, "mremap", move.to,
         raw::call(SYS_mremap, raw::word(held[i]), raw::word(move.size), raw::word(move.size),
                   kMove, raw::word(move.to)));
  }
  if (plan.vdso != 0 && !mapping_starts_at(plan, plan.vdso)) {
    die(plan, "vdso is not where it was moved to", plan.vdso, -EFAULT);
  }
}

void set_layout(const ckpt_restore_plan& plan) {
  const ckpt_plan_layout& from = plan.layout;
  prctl_mm_map map{};
  map.start_code = from.start_code;
  map.end_code = from.end_code;
  map.start_data = from.start_data;
  map.end_data = from.end_data;
  map.start_brk = from.start_brk;
  map.brk = from.brk;
  map.start_stack = from.start_stack;
  map.arg_start = from.arg_start;
  map.arg_end = from.arg_end;
  map.env_start = from.env_start;
  map.env_end = from.env_end;
  map.auxv = reinterpret_cast<__u64*>(from.auxv);
  map.auxv_size = from.auxv_size;
  map.exe_fd = static_cast<uint32_t>(from.executable_fd);
  long result = raw::call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, raw::word(&map), sizeof map, 0);
  if (raw::failed(result) && from.executable_fd >= 0) {
    // An ordinary user may not change /proc/self/exe.
    map.exe_fd = static_cast<uint32_t>(-1);
    result = raw::call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, raw::word(&map), sizeof map, 0);
  }
  must(plan, "prctl PR_SET_MM_MAP brk", map.brk, result);
}

void map_regions(const ckpt_restore_plan& plan) {
  for (uint32_t i = 0; i < plan.region_count; ++i) {
    const ckpt_plan_region& region = plan.regions[i];
    int flags = MAP_FIXED_NOREPLACE;
    flags |= (region.flags & CKPT_REGION_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE;
    if (region.fd < 0) flags |= MAP_ANONYMOUS;
    if ((region.flags & CKPT_REGION_NORESERVE) != 0) flags |= MAP_NORESERVE;
    if ((region.flags & CKPT_REGION_GROWSDOWN) != 0) flags |= MAP_GROWSDOWN | MAP_STACK;
    uint32_t protection = region.protection;
    if ((region.flags & CKPT_REGION_FILLED) != 0) protection = PROT_READ | PROT_WRITE;
    const long at =
        must(plan, "mmap", region.start,
             raw::mmap(region.start, region.end - region.start, static_cast<int>(protection), flags,
                       region.fd, static_cast<int64_t>(region.file_offset)));
    if (static_cast<uint64_t>(at) != region.start)
      die(plan, "mmap elsewhere", region.start, -EEXIST);
    if (region.advice_before != 0) advise(plan, region, region.advice_before);
  }
}

void protect_regions(const ckpt_restore_plan& plan) {
  for (uint32_t i = 0; i < plan.region_count; ++i) {
    const ckpt_plan_region& region = plan.regions[i];
    const uint64_t size = region.end - region.start;
    if ((region.flags & CKPT_REGION_FILLED) != 0 && region.protection != (PROT_READ | PROT_WRITE)) {
      must(plan, "mprotect", region.start,
           raw::mprotect(region.start, size, static_cast<int>(region.protection)));
    }
    for (uint32_t advice : region.advice_after) {
      if (advice == 0) break;
      advise(plan, region, advice);
    }
    if ((region.flags & CKPT_REGION_LOCKED) != 0) {
      const long result = raw::call(SYS_mlock, raw::word(region.start), raw::word(size));
      if (raw::failed(result)) warn(plan, "mlock", region.start, result);
    }
  }
}

}  // namespace ckpt::restorer
