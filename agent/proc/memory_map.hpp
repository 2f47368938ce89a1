// A process's memory map, from /proc/pid/maps or /proc/pid/smaps.
//
// Purpose: one Mapping a line of maps; smaps adds VmFlags and what is resident.
// Ownership: values. Threads: no shared state.
// Units: addresses and offsets in bytes.
// Errors: a line that cannot be understood is an error with that line as cause:
//   a map read half would lose memory quietly.
// Source: proc(5), fs/proc/task_mmu.c.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::proc {

struct Mapping {
  std::uint64_t start = 0, end = 0;
  std::uint32_t protection = 0;  // PROT_*
  bool shared = false;
  std::uint64_t offset = 0;
  std::uint64_t device = 0;  // makedev(major, minor)
  std::uint64_t inode = 0;
  std::string name;      // path without " (deleted)", "[heap]", "[anon:x]" or ""
  bool deleted = false;  // the kernel said " (deleted)"
  std::string vm_flags;  // "rd wr mr mw me ac", from smaps only

  bool has_flag(std::string_view two_letters) const;
  bool has_file() const { return inode != 0; }
  std::uint64_t size() const { return end - start; }
};

Result<std::vector<Mapping>> parse_maps(std::string_view text);   // maps
Result<std::vector<Mapping>> parse_smaps(std::string_view text);  // smaps

Result<std::vector<Mapping>> read_maps(int pid);
Result<std::vector<Mapping>> read_smaps(int pid);

}  // namespace ckpt::proc
