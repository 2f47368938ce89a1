// PageReader: pages of another process, in large pieces.
//
// Purpose: reads spans through /proc/pid/mem. Not process_vm_readv: that one pins
//   pages, and the kernel gives a pinned page that is shared copy-on-write a copy
//   of its own first (FAULT_FLAG_UNSHARE): reading a forked copy with it doubles
//   the memory and takes longer. A tracer may also read what has PROT_NONE.
// Ownership: owns the descriptor of /proc/pid/mem.
// Threads: the tracer's thread, for pages without PROT_READ; else any.
// Errors: the call, the address and the errno. A guard page (MADV_GUARD_INSTALL)
//   holds nothing: it reads as zero.
// Source: proc(5), mm/gup.c (gup_must_unshare).
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
  Status read_span(PageSpan span, std::uint8_t* to);

  int pid_;
  UniqueFd memory_;
};

}  // namespace ckpt::pages
