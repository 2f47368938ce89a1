// StoppedBytes: memory copied while the rank was stopped.
//
// Purpose: what a forked copy does not hold still: shared memory (it would go on
//   changing), MADV_DONTFORK and MADV_WIPEONFORK ranges; and all of a rank when
//   no copy could be made.
// Ownership: owns the bytes. Threads: the tracer's.
// Units: addresses in bytes, multiples of 4096.
// Errors: the failed read, or ENOMEM.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/pages/page_reader.hpp"
#include "agent/proc/page_map.hpp"

namespace ckpt::snapshot {

class StoppedBytes {
 public:
  struct Piece {
    std::uint64_t start = 0, end = 0;
    std::unique_ptr<std::uint8_t[]> bytes;
  };

  // Copies the ranges.
  Status copy(pages::PageReader& reader, const std::vector<proc::PageRange>& ranges);
  const std::vector<Piece>& pieces() const { return pieces_; }

 private:
  std::vector<Piece> pieces_;
};

// Where a shared mapping has content: the file's data (holes in a file on tmpfs
// are not touched), or all of it up to the file's end.
std::vector<proc::PageRange> shared_content(int pid, std::uint64_t start, std::uint64_t end,
                                            std::uint64_t file_offset, std::uint64_t inode);

}  // namespace ckpt::snapshot
