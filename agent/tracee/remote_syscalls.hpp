// RemoteSyscalls: system calls made by a stopped thread on our behalf.
//
// Purpose: some state can only be asked from inside (sigaltstack, sigaction,
//   timers), and only the thread itself can fork. The thread is pointed at the
//   vdso's own `syscall` instruction: no code of the tracee is overwritten.
//   While it lasts all its signals are blocked; end() brings the thread back to
//   a stop of the same kind it was in, with its own registers and mask, so that
//   the kernel restarts an interrupted system call as if nothing had been.
// Ownership: borrows the thread; the destructor calls end().
// Threads: only the tracer's.
// Errors: a call's own failure is its negative result, not an Error. An Error
//   means that the thread is gone or did something else than the call.
// Source: ptrace(2); arch/x86/kernel/signal.c.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "agent/tracee/ptrace_port.hpp"

namespace ckpt::tracee {

// Address of a `syscall` instruction in the vdso of `pid`, found in its text.
Result<RemoteAddress> find_vdso_syscall(PtracePort& port, int pid);

class RemoteSyscalls {
 public:
  // `thread` is in a ptrace stop, with `registers` as they were at the stop.
  RemoteSyscalls(PtracePort& port, int tid, RemoteAddress syscall_instruction,
                 const Registers& registers, std::int64_t deadline_ns);
  ~RemoteSyscalls() { (void)end(); }
  RemoteSyscalls(const RemoteSyscalls&) = delete;
  RemoteSyscalls& operator=(const RemoteSyscalls&) = delete;

  // Blocks the thread's signals. First.
  Status begin();

  // The kernel's result: a value, or -errno.
  Result<std::int64_t> call(long number, std::array<std::uint64_t, 6> arguments = {});

  // A call that makes a traced child: its id, which the kernel reports by an
  // event before the call returns. -errno when it failed.
  Result<std::int64_t> call_making_child(long number, std::array<std::uint64_t, 6> arguments);

  // exit(): the thread does not come back.
  Status call_exit(long number, std::uint64_t code);

  // A place below the thread's stack (and its red zone) for arguments.
  RemoteAddress scratch(std::size_t size) const;

  Status end();

 private:
  Status aim(long number, const std::array<std::uint64_t, 6>& arguments);
  Result<WaitStatus> next_stop();

  PtracePort& port_;
  int tid_;
  RemoteAddress instruction_;
  Registers saved_;
  std::int64_t deadline_ns_;
  std::optional<std::uint64_t> saved_mask_;
  bool moved_ = false;  // registers were changed
};

}  // namespace ckpt::tracee
