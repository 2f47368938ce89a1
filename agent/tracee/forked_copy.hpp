// ForkedCopy: a copy-on-write copy of a stopped rank, which nobody else sees.
//
// Purpose: makes the stop short: the copy is a stopped process with the rank's
//   memory as it was; its pages are read while the rank runs.
//   How: the rank's thread makes an intermediate (clone with CLONE_VM, no exit
//   signal), that forks the copy and exits; the rank reaps the intermediate
//   (wait4 __WALL) before it goes on. So no child is ever seen by the program's
//   wait(). The copy belongs to init, shares the rank's descriptor table (so it
//   keeps no file of the program open), and dies with the tracer's thread.
// Ownership: the destructor kills and reaps the copy.
// Threads: only the tracer's, to the end; pages may be read from any thread of
//   this process.
// Errors: a fork refused by the kernel (memory, limits) is an Error with its
//   errno: the caller copies while the rank is stopped. The rank is then as before.
// Source: ptrace(2), clone(2), kernel/exit.c (a reparented child signals SIGCHLD).
#pragma once

#include "agent/tracee/ptrace_port.hpp"
#include "agent/tracee/remote_syscalls.hpp"

namespace ckpt::tracee {

class ForkedCopy {
 public:
  // `calls` belongs to a stopped thread of the rank, begun.
  static Result<ForkedCopy> make(PtracePort& port, int tid, RemoteSyscalls& calls,
                                 RemoteAddress syscall_instruction, const Registers& registers,
                                 std::int64_t deadline_ns);
  ForkedCopy(ForkedCopy&& other) noexcept;
  ForkedCopy& operator=(ForkedCopy&&) = delete;
  ~ForkedCopy() { kill(); }

  int pid() const { return pid_; }
  const Registers& registers() const { return registers_; }  // for calls injected into it
  void kill();

 private:
  ForkedCopy(PtracePort& port, int pid) : port_(&port), pid_(pid) {}

  PtracePort* port_;
  int pid_ = 0;
  Registers registers_{};
};

}  // namespace ckpt::tracee
