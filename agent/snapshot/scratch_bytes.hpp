// ScratchBytes: a few bytes of a stopped process lent for system call arguments.
//
// Purpose: a place where the kernel can write results in the tracee. The page
//   that holds the thread's stack pointer is always mapped; what was there is
//   put back, so no byte of the program differs afterwards.
// Ownership: the destructor restores. Threads: only the tracer's; every thread
//   of the tracee that could look is stopped.
// Errors: the failed transfer.
// Source: process_vm_readv(2).
#pragma once

#include <array>

#include "agent/tracee/ptrace_port.hpp"

namespace ckpt::snapshot {

class ScratchBytes {
 public:
  static constexpr std::size_t kSize = 256;

  ScratchBytes(tracee::PtracePort& port, int pid, std::uint64_t stack_pointer)
      : port_(port), pid_(pid), address_(stack_pointer & ~4095ull) {}
  ~ScratchBytes() { (void)restore(); }
  ScratchBytes(const ScratchBytes&) = delete;
  ScratchBytes& operator=(const ScratchBytes&) = delete;

  Status take() {
    auto done = port_.read_memory(pid_, address_, saved_.data(), kSize);
    taken_ = done.has_value();
    return done;
  }
  Status restore() {
    if (!taken_) return {};
    taken_ = false;
    return port_.write_memory(pid_, address_, saved_.data(), kSize);
  }

  std::uint64_t address() const { return address_.value(); }
  template <typename T>
  Result<T> get() {
    static_assert(sizeof(T) <= kSize);
    T value{};
    if (auto done = port_.read_memory(pid_, address_, &value, sizeof value); !done)
      return tl::unexpected(done.error());
    return value;
  }

 private:
  tracee::PtracePort& port_;
  int pid_;
  tracee::RemoteAddress address_;
  std::array<std::uint8_t, kSize> saved_{};
  bool taken_ = false;
};

}  // namespace ckpt::snapshot
