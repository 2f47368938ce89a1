#include "agent/tracee/stopped_process.hpp"

#include <algorithm>

#include "mpi_shim/host/lower_half.h"

namespace ckpt::tracee {
namespace {

constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD;
// How long release() waits for a thread that was interrupted but has not stopped.
constexpr std::int64_t kReleaseGraceNs = 100'000'000;

}  // namespace

Result<StoppedProcess::Outcome> StoppedProcess::stop(std::int64_t deadline_ns) {
  std::map<int, ThreadFate> fates;
  for (;;) {
    std::vector<int> seized;
    auto count = seize_new(fates, seized);
    if (!count) {
      release();
      return tl::unexpected(count.error());
    }
    if (*count == 0) break;
    for (const int tid : seized) {
      auto fate = await_stop(tid, deadline_ns);
      if (!fate) {
        release();
        return tl::unexpected(fate.error());
      }
      fates[tid] = *fate;
    }
  }
  if (threads_.empty()) return Outcome::vanished;
  std::sort(threads_.begin(), threads_.end(), [this](const auto& a, const auto& b) {
    return (a.tid == pid_) != (b.tid == pid_) ? a.tid == pid_ : a.tid < b.tid;
  });
  return Outcome::stopped;
}

// Seizes and interrupts the threads not met before; returns how many there were.
Result<std::size_t> StoppedProcess::seize_new(std::map<int, ThreadFate>& fates,
                                              std::vector<int>& seized) {
  auto tids = port_.tasks(pid_);
  if (!tids) {
    if (tids.error().code == ENOENT || tids.error().code == ESRCH) return 0;
    return tl::unexpected(tids.error());
  }
  std::size_t met = 0;
  for (const int tid : *tids) {
    if (fates.contains(tid)) continue;
    ++met;
    // A thread that sleeps on a stack in the arena is the lower half's: it is not
    // even interrupted (others are let go when their FS base is known).
    if (ckpt_in_arena(port_.sleeping_stack(pid_, tid))) {
      fates[tid] = ThreadFate::lower_half;
      continue;
    }
    fates[tid] = ThreadFate::gone;
    if (auto done = port_.seize(tid, kOptions); !done) {
      const char state = port_.task_state(pid_, tid);
      // A dead leader (the main thread called pthread_exit) is a zombie: EPERM.
      if (done.error().code == ESRCH || state == 'Z' || state == 'X') continue;
      return tl::unexpected(done.error());
    }
    pending_.push_back(tid);
    seized.push_back(tid);
    if (auto done = port_.interrupt(tid); !done && done.error().code != ESRCH)
      return tl::unexpected(done.error());
  }
  return met;
}

Result<StoppedProcess::ThreadFate> StoppedProcess::await_stop(int tid, std::int64_t deadline_ns) {
  for (;;) {
    auto status = port_.wait(tid, deadline_ns);
    if (!status && status.error().code != ECHILD) return tl::unexpected(status.error());
    if (status && !*status) return not_stopped(tid);
    // ECHILD: a thread that is no leader vanishes without a report when it
    // execs elsewhere or is reaped by the kernel.
    if (!status || (*status)->exited()) {
      std::erase(pending_, tid);
      return ThreadFate::gone;
    }
    if ((*status)->signal_delivery()) {
      // The signal goes on its way; the stop we asked for is void by it.
      auto done = port_.resume(tid, (*status)->stop_signal());
      if (done) done = port_.interrupt(tid);
      if (!done && done.error().code != ESRCH) return tl::unexpected(done.error());
      continue;
    }
    std::erase(pending_, tid);
    auto upper = keep_upper(tid, (*status)->group_stop());
    if (!upper) {
      if (upper.error().code == ESRCH) return ThreadFate::gone;
      return tl::unexpected(upper.error());
    }
    return *upper ? ThreadFate::held : ThreadFate::lower_half;
  }
}

Result<bool> StoppedProcess::keep_upper(int tid, bool group_stopped) {
  auto registers = port_.get_registers(tid);
  if (!registers || ckpt_in_arena(registers->fs_base)) {
    auto done = port_.detach(tid);
    if (!registers) return tl::unexpected(registers.error());
    if (!done && done.error().code != ESRCH) return tl::unexpected(done.error());
    return false;
  }
  threads_.push_back({tid, *registers, group_stopped});
  return true;
}

Failure StoppedProcess::not_stopped(int tid) {
  return fail("stop", "tid " + std::to_string(tid),
              std::string("it does not stop (state ") + port_.task_state(pid_, tid) + ")",
              ETIMEDOUT);
}

void StoppedProcess::release() {
  for (const StoppedThread& thread : threads_) (void)port_.detach(thread.tid);
  threads_.clear();
  // A thread that never stopped can only be let go once it has: the interrupt is
  // still on its way. What does not stop soon is freed when this thread ends.
  const std::int64_t deadline = port_.now_ns() + kReleaseGraceNs;
  for (const int tid : pending_) {
    for (;;) {
      auto status = port_.wait(tid, deadline);
      if (!status || !*status || (*status)->exited()) break;
      if ((*status)->signal_delivery()) {
        if (!port_.resume(tid, (*status)->stop_signal()) || !port_.interrupt(tid)) break;
        continue;
      }
      (void)port_.detach(tid);
      break;
    }
  }
  pending_.clear();
}

}  // namespace ckpt::tracee
