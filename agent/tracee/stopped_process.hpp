// StoppedProcess: all upper-half threads of a rank, held in ptrace stops.
//
// Purpose: seizes and interrupts every thread until no new one appears. Threads
//   whose FS base lies in the arena belong to the lower half: they are let go at
//   once and run on. A signal met on the way is given back to its thread.
// Ownership: the destructor lets every thread go, on every path. Should that
//   fail (a thread in D state), the end of the tracer's thread does it.
// Threads: only the thread that called stop().
// Units: deadline in ns of CLOCK_MONOTONIC.
// Errors: a process that vanished is a result (StopOutcome::vanished), not an
//   error. A thread that does not stop before the deadline is one, with its state.
// Source: ptrace(2).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "agent/tracee/ptrace_port.hpp"

namespace ckpt::tracee {

struct StoppedThread {
  int tid = 0;
  Registers registers{};  // at the stop
  bool group_stopped = false;
};

class StoppedProcess {
 public:
  enum class Outcome { stopped, vanished };

  StoppedProcess(PtracePort& port, int pid) : port_(port), pid_(pid) {}
  ~StoppedProcess() { release(); }
  StoppedProcess(const StoppedProcess&) = delete;
  StoppedProcess& operator=(const StoppedProcess&) = delete;

  // All or nothing: after an error or `vanished` nothing is held.
  Result<Outcome> stop(std::int64_t deadline_ns);

  // Lets all threads go. Idempotent.
  void release();

  int pid() const { return pid_; }
  // Ascending tids, the leader first if it lives.
  const std::vector<StoppedThread>& threads() const { return threads_; }
  PtracePort& port() { return port_; }

 private:
  enum class ThreadFate { held, gone, lower_half };

  Result<std::size_t> seize_new(std::map<int, ThreadFate>& fates, std::vector<int>& seized);
  Result<ThreadFate> await_stop(int tid, std::int64_t deadline_ns);
  Result<bool> keep_upper(int tid, bool group_stopped);
  Failure not_stopped(int tid);

  PtracePort& port_;
  int pid_;
  std::vector<StoppedThread> threads_;
  std::vector<int> pending_;  // seized, not seen stopped yet
};

}  // namespace ckpt::tracee
