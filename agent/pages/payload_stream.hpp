// Streams a frozen rank's pages into its place in the generation file.
//
// Purpose: reads pages, leaves out zero pages, notes the runs and takes checksums,
//   in pieces that stay in the processor's cache meanwhile; a WriteQueue writes
//   behind, past the page cache where the file system can do that. Else writeback
//   is started behind each write. Either way the fsync at the end finds little
//   left to do.
// Ownership: borrows everything; the buffers live as long as the call.
// Threads: the caller must be the tracer's thread of `reader`'s process.
// Units: bytes; checksum blocks of image::kChecksumBlockPages pages.
// Errors: the first failed read or write; nothing of the payload counts then.
// Source: sync_file_range(2).
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "agent/pages/page_plan.hpp"
#include "agent/pages/page_reader.hpp"
#include "format/image/model.hpp"
#include "format/posix/file_system.hpp"

namespace ckpt::pages {

struct StreamTarget {
  File* file = nullptr;
  std::uint64_t offset = 0;                    // of the payload's first page
  std::atomic<std::uint64_t>* done = nullptr;  // bytes looked at, for progress
  const std::atomic<bool>* cancelled = nullptr;
};

struct StreamResult {
  std::vector<std::uint64_t> checksums;  // of plan.pages pages, the zero tail included
  std::uint64_t stored_pages = 0;
};

// Fills in `runs` of `regions`.
Result<StreamResult> stream_payload(const PagePlan& plan, PageReader* reader,
                                    std::vector<image::Region>& regions,
                                    const StreamTarget& target);

// True where all 4096 bytes are zero.
bool is_zero_page(const std::uint8_t* page);

}  // namespace ckpt::pages
