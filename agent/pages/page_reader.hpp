// PageReader: pages of another process, in large pieces.
//
// Purpose: process_vm_readv over many spans at once; where that is refused
//   (PROT_NONE), /proc/pid/mem, which a tracer may read in spite of protections.
// Ownership: owns the descriptor of /proc/pid/mem.
// Threads: the tracer's thread, for what /proc/pid/mem alone can read.
// Errors: the call, the address and the errno. A guard page (MADV_GUARD_INSTALL)
//   holds nothing: it reads as zero.
// Source: process_vm_readv(2), proc(5).
#pragma once

#include <cstdint>
#include <span>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::pages {

struct PageSpan {
  std::uint64_t start = 0, end = 0;
};

class PageReader {
 public:
  static Result<PageReader> open(int pid);

  // Reads the spans one behind the other into `to`.
  Status read(std::span<const PageSpan> spans, std::uint8_t* to);

 private:
  PageReader(int pid, UniqueFd memory) : pid_(pid), memory_(std::move(memory)) {}
  Status read_one_page(std::uint64_t address, std::uint8_t* to);

  int pid_;
  UniqueFd memory_;
};

}  // namespace ckpt::pages
