// Small typed facts about another process: addresses and wait statuses.
//
// Purpose: a remote address cannot be mistaken for a pointer of ours, and a wait
//   status is asked by name, not by shifting bits.
// Ownership: values. Threads: no shared state.
// Source: ptrace(2), waitpid(2).
#pragma once

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdint>

namespace ckpt::tracee {

// An address in the tracee.
class RemoteAddress {
 public:
  constexpr RemoteAddress() = default;
  constexpr explicit RemoteAddress(std::uint64_t value) : value_(value) {}
  constexpr std::uint64_t value() const { return value_; }
  constexpr RemoteAddress operator+(std::uint64_t offset) const {
    return RemoteAddress(value_ + offset);
  }
  constexpr explicit operator bool() const { return value_ != 0; }
  friend constexpr auto operator<=>(RemoteAddress, RemoteAddress) = default;

 private:
  std::uint64_t value_ = 0;
};

// What waitpid said of a seized thread.
class WaitStatus {
 public:
  constexpr WaitStatus() = default;
  constexpr explicit WaitStatus(int raw) : raw_(raw) {}

  static constexpr WaitStatus signal_stop(int signal) { return WaitStatus((signal << 8) | 0x7f); }
  static constexpr WaitStatus event_stop(int event, int signal = SIGTRAP) {
    return WaitStatus((event << 16) | (signal << 8) | 0x7f);
  }
  static constexpr WaitStatus syscall_stop() { return signal_stop(SIGTRAP | 0x80); }
  static constexpr WaitStatus exit_code(int code) { return WaitStatus(code << 8); }

  constexpr int raw() const { return raw_; }
  bool exited() const { return WIFEXITED(raw_) || WIFSIGNALED(raw_); }
  bool stopped() const { return WIFSTOPPED(raw_); }
  int event() const { return stopped() ? raw_ >> 16 : 0; }
  int stop_signal() const { return WSTOPSIG(raw_); }

  // The stop that PTRACE_INTERRUPT made, or the first one of an attached child.
  bool interrupt_stop() const {
    return stopped() && event() == PTRACE_EVENT_STOP && stop_signal() == SIGTRAP;
  }
  // A job-control stop: the thread was stopped by SIGSTOP or its like.
  bool group_stop() const {
    return stopped() && event() == PTRACE_EVENT_STOP && stop_signal() != SIGTRAP;
  }
  bool in_syscall_stop() const {
    return stopped() && event() == 0 && stop_signal() == (SIGTRAP | 0x80);
  }
  // A signal on its way to the thread: it must be given back, or it is lost.
  bool signal_delivery() const { return stopped() && event() == 0 && !in_syscall_stop(); }

 private:
  int raw_ = 0;
};

}  // namespace ckpt::tracee
