// Regions: which file or memory backs each, what fills it, what it needs to be
// mapped as.
//
// Purpose: opens every file that is mapped, checks that it is still the file
//   of the image, and writes regions and runs into the plan.
// Ownership: opened files are parked; arrays lie in the scratch memory.
// Threads: one. Units: bytes.
// Errors: a missing or changed file is named with what differs.
// Source: mmap(2), madvise(2), proc(5) VmFlags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/restore/arena_memory.hpp"
#include "agent/restore/parked_files.hpp"
#include "agent/restorer/restore_plan.h"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

struct RegionOptions {
  bool accept_changed_files = false;  // a mapped file of another mtime is a warning
  // Equal in all ranks of this restart that came from one node; "" = none. Ranks
  // that come together from several nodes may have had different memory under
  // one inode, or one name.
  std::string sharing_token, origin;
};

// What MADV_* flags a region had, in the order to give them.
struct Advice {
  std::uint32_t before = 0;
  std::vector<std::uint32_t> after;
};
Advice advice_of(std::string_view vm_flags);
bool has_vm_flag(std::string_view vm_flags, std::string_view flag);

Status plan_regions(const image::RankImage& image, const RegionOptions& options,
                    ArenaMemory& scratch, ParkedFiles& files, std::vector<std::string>& warnings,
                    ckpt_restore_plan& plan);

// Runs of all filled regions, by index in the payload.
Status plan_runs(const image::RankImage& image, const std::vector<std::uint64_t>& checksums,
                 std::uint32_t block_pages, ArenaMemory& scratch, ckpt_restore_plan& plan);

}  // namespace ckpt::restore
