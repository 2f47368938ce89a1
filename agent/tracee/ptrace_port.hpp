// The kernel calls that concern another process, as an interface.
//
// Purpose: everything the tracer does goes through here, so that the rules of
//   stopping and injecting are tested against a fake.
// Ownership: stateless; the caller keeps thread ids.
// Threads: ptrace is per thread: the thread that seized is the one that must
//   make every later call for that tracee, and when it ends the kernel lets its
//   tracees go (they run on).
// Units: times in nanoseconds of CLOCK_MONOTONIC.
// Errors: errno with the request and the thread; ESRCH means gone or not stopped.
// Source: ptrace(2), process_vm_readv(2), get_robust_list(2), kcmp(2).
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "agent/tracee/kernel_facts.hpp"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::tracee {

using Registers = user_regs_struct;

class PtracePort {
 public:
  virtual ~PtracePort() = default;

  virtual Status seize(int tid, unsigned long options) = 0;
  virtual Status interrupt(int tid) = 0;
  virtual Status set_options(int tid, unsigned long options) = 0;
  virtual Status resume(int tid, int signal) = 0;             // PTRACE_CONT
  virtual Status resume_to_syscall(int tid, int signal) = 0;  // PTRACE_SYSCALL
  virtual Status detach(int tid) = 0;

  // The next report of a tracee; nothing when `deadline_ns` passes before.
  virtual Result<std::optional<WaitStatus>> wait(int tid, std::int64_t deadline_ns) = 0;
  virtual std::int64_t now_ns() = 0;

  virtual Result<Registers> get_registers(int tid) = 0;
  virtual Status set_registers(int tid, const Registers& registers) = 0;
  virtual Result<std::vector<std::uint8_t>> get_xsave(int tid) = 0;
  virtual Result<std::uint64_t> get_signal_mask(int tid) = 0;
  virtual Status set_signal_mask(int tid, std::uint64_t mask) = 0;
  virtual Result<std::vector<std::vector<std::uint8_t>>> peek_signals(int tid, bool shared) = 0;
  virtual Result<image::Rseq> get_rseq(int tid) = 0;
  virtual Result<image::RobustList> get_robust_list(int tid) = 0;
  virtual Result<unsigned long> event_message(int tid) = 0;  // the new child's id
  virtual Status kill(int pid, int signal) = 0;

  virtual Status read_memory(int pid, RemoteAddress from, void* to, std::size_t length) = 0;
  virtual Status write_memory(int pid, RemoteAddress to, const void* from, std::size_t length) = 0;

  virtual Result<std::vector<int>> tasks(int pid) = 0;
  // One letter of proc(5); 'X' when the thread does not exist.
  virtual char task_state(int pid, int tid) = 0;
  // Where the stack of a thread is that sleeps in the kernel; 0 where it runs.
  virtual std::uint64_t sleeping_stack(int pid, int tid) = 0;
};

std::unique_ptr<PtracePort> make_linux_ptrace();

}  // namespace ckpt::tracee
