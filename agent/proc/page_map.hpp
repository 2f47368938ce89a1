// Which pages of a process hold something: PAGEMAP_SCAN, or /proc/pid/pagemap.
//
// Purpose: lists of pages that must be stored. PageMap asks the kernel for runs
//   (Linux 6.7 and later) and reads the plain pagemap where that does not work.
// Ownership: holds one descriptor of /proc/pid/pagemap.
// Threads: one at a time.
// Units: addresses in bytes, multiples of 4096.
// Errors: the failed call and the range.
// Source: Documentation/admin-guide/mm/pagemap.rst.
#pragma once

#include <cstdint>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::proc {

struct PageRange {
  std::uint64_t start = 0, end = 0;
  std::uint64_t pages() const { return (end - start) / 4096; }
};

enum class PageChoice {
  present,   // anything mapped or swapped; the shared zero page is left out where it is known
  own_copy,  // of those, only anonymous copies: what a private file mapping has changed
};

class PageMap {
 public:
  static Result<PageMap> open(int pid);
  PageMap(PageMap&& other) noexcept;
  PageMap& operator=(PageMap&&) = delete;
  ~PageMap();

  // Appends the chosen ranges in [start, end), ascending and merged.
  Status collect(std::uint64_t start, std::uint64_t end, PageChoice choice,
                 std::vector<PageRange>& ranges);

  // For tests: read plain pagemap even where PAGEMAP_SCAN works.
  void use_plain_pagemap() { scan_works_ = false; }

 private:
  PageMap(int fd, int pid) : fd_(fd), pid_(pid) {}
  // False where the kernel does not know the ioctl.
  Result<bool> scan(std::uint64_t start, std::uint64_t end, PageChoice choice,
                    std::vector<PageRange>& ranges);
  Status read_entries(std::uint64_t start, std::uint64_t end, PageChoice choice,
                      std::vector<PageRange>& ranges);

  int fd_ = -1;
  int pid_ = 0;
  bool scan_works_ = true;
};

// True where a plain pagemap entry is chosen.
bool is_chosen(std::uint64_t entry, PageChoice choice);

// Adds a range; joins it to the last one where they touch.
void append_range(std::vector<PageRange>& ranges, std::uint64_t start, std::uint64_t end);

}  // namespace ckpt::proc
