#include "agent/snapshot/process_state.hpp"

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"

namespace ckpt::snapshot {
namespace {

constexpr int kSignals = 64;
constexpr std::uint64_t kSignalSetSize = 8;

struct KernelSigaction {
  std::uint64_t handler, flags, restorer, mask;
};

Status asked(const Result<std::int64_t>& result, const char* what, int pid) {
  if (!result) return tl::unexpected(result.error());
  if (*result < 0)
    return fail_errno(what, "in pid " + std::to_string(pid), static_cast<int>(-*result));
  return {};
}

Status ask_posix_timer(tracee::RemoteSyscalls& calls, ScratchBytes& scratch, int pid,
                       image::PosixTimer& timer) {
  const auto id = static_cast<std::uint64_t>(timer.id);
  if (auto done =
          asked(calls.call(SYS_timer_gettime, {id, scratch.address()}), "timer_gettime", pid);
      !done)
    return done;
  auto value = scratch.get<itimerspec>();
  if (!value) return tl::unexpected(value.error());
  timer.value_ns = value->it_value.tv_sec * 1'000'000'000LL + value->it_value.tv_nsec;
  timer.interval_ns = value->it_interval.tv_sec * 1'000'000'000LL + value->it_interval.tv_nsec;
  auto overrun = calls.call(SYS_timer_getoverrun, {id});
  if (auto done = asked(overrun, "timer_getoverrun", pid); !done) return done;
  timer.overrun = static_cast<std::int32_t>(*overrun);
  return {};
}

}  // namespace

Status capture_process(tracee::PtracePort& port, int pid, int tid, image::Process& process) {
  process.pid = pid;
  const auto link = [pid](const char* name, std::string& value) -> Status {
    auto target = proc::read_link(proc::path_of(pid, name));
    if (!target) return tl::unexpected(target.error());
    value = *target;
    return {};
  };
  if (auto done = link("exe", process.executable); !done) return done;
  if (auto done = link("cwd", process.cwd); !done) return done;
  auto text = proc::read_whole(proc::path_of(pid, "status"));
  if (!text) return tl::unexpected(text.error());
  auto status = proc::parse_status(*text);
  if (!status) return tl::unexpected(status.error());
  process.umask = status->umask;
  auto stat = proc::read_stat(pid, tid);
  if (!stat) return tl::unexpected(stat.error());
  process.layout = stat->layout;
  auto auxv = proc::read_whole(proc::path_of(pid, "auxv"));
  if (!auxv) return tl::unexpected(auxv.error());
  process.layout.auxv = proc::parse_auxv(*auxv);
  auto limits = proc::read_whole(proc::path_of(pid, "limits"));
  if (!limits) return tl::unexpected(limits.error());
  auto parsed = proc::parse_limits(*limits);
  if (!parsed) return tl::unexpected(parsed.error());
  process.limits = std::move(*parsed);
  auto pending = port.peek_signals(tid, true);
  if (!pending) return tl::unexpected(pending.error());
  process.pending_signals = std::move(*pending);
  return {};
}

Status ask_process(tracee::RemoteSyscalls& calls, ScratchBytes& scratch, image::Process& process) {
  auto end = calls.call(SYS_brk, {0});
  if (auto done = asked(end, "brk", process.pid); !done) return done;
  process.layout.brk = static_cast<std::uint64_t>(*end);
  for (std::uint64_t which = ITIMER_REAL; which <= ITIMER_PROF; ++which) {
    const auto got = calls.call(SYS_getitimer, {which, scratch.address()});
    if (auto done = asked(got, "getitimer", process.pid); !done) return done;
    auto value = scratch.get<itimerval>();
    if (!value) return tl::unexpected(value.error());
    process.interval_timers[which] = {
        value->it_interval.tv_sec * 1'000'000LL + value->it_interval.tv_usec,
        value->it_value.tv_sec * 1'000'000LL + value->it_value.tv_usec};
  }
  auto text = proc::read_whole(proc::path_of(process.pid, "timers"));
  if (!text) return tl::unexpected(text.error());
  auto timers = proc::parse_timers(*text);
  if (!timers) return tl::unexpected(timers.error());
  process.posix_timers = std::move(*timers);
  for (image::PosixTimer& timer : process.posix_timers)
    if (auto done = ask_posix_timer(calls, scratch, process.pid, timer); !done) return done;
  return {};
}

Status ask_signal_actions(tracee::RemoteSyscalls& calls, ScratchBytes& scratch,
                          image::Process& process) {
  process.signal_actions.assign(kSignals, {});
  for (int signal = 1; signal <= kSignals; ++signal) {
    const auto got = calls.call(SYS_rt_sigaction, {static_cast<std::uint64_t>(signal), 0,
                                                   scratch.address(), kSignalSetSize});
    if (auto done = asked(got, "rt_sigaction", process.pid); !done) return done;
    auto action = scratch.get<KernelSigaction>();
    if (!action) return tl::unexpected(action.error());
    process.signal_actions[static_cast<std::size_t>(signal - 1)] = {action->handler, action->flags,
                                                                    action->restorer, action->mask};
  }
  return {};
}

}  // namespace ckpt::snapshot
