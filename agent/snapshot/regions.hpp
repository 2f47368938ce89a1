// Which of a rank's mappings go into an image, and as what.
//
// Purpose: turns the memory map into the image's regions. Left out: the arena
//   (the lower half) and [vsyscall]. vdso and vvar are kept as places.
// Ownership: values. Threads: no shared state.
// Errors: code ENOTSUP for a mapping that cannot be saved (device memory), by name.
// Source: proc(5), fs/proc/task_mmu.c (VmFlags).
#pragma once

#include <vector>

#include "agent/proc/memory_map.hpp"
#include "format/image/model.hpp"

namespace ckpt::snapshot {

// True for what no image holds.
bool is_left_out(const proc::Mapping& mapping);

// MAP_SHARED outside the arena: its content must be read while all ranks are stopped.
bool is_shared_memory(const proc::Mapping& mapping);

// A fork does not copy it (MADV_DONTFORK), or copies it empty (MADV_WIPEONFORK).
// Needs VmFlags.
bool is_missing_in_fork(const proc::Mapping& mapping);

struct RegionRecord {
  image::Region region;
  bool all_pages = false;  // every readable page is content (shared, or its file is gone)
};

Result<RegionRecord> make_region(const proc::Mapping& mapping);

}  // namespace ckpt::snapshot
