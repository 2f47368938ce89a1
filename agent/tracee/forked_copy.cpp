#include "agent/tracee/forked_copy.hpp"

#include <sched.h>
#include <sys/syscall.h>

#include <utility>

namespace ckpt::tracee {
namespace {

constexpr unsigned long kFollow =
    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
constexpr std::int64_t kKillGraceNs = 5'000'000'000;

// The first stop of a child that was attached by its parent's options.
Status await_birth(PtracePort& port, int pid, std::int64_t deadline_ns) {
  auto status = port.wait(pid, deadline_ns);
  if (!status) return tl::unexpected(status.error());
  const std::string subject = "pid " + std::to_string(pid);
  if (!*status) return fail("wait for forked child", subject, "it does not stop", ETIMEDOUT);
  if ((*status)->exited()) return fail("wait for forked child", subject, "it ended", ESRCH);
  return {};
}

// Kills a traced process and takes its end.
void kill_and_reap(PtracePort& port, int pid) {
  if (!port.kill(pid, SIGKILL)) return;
  const std::int64_t deadline = port.now_ns() + kKillGraceNs;
  for (;;) {
    auto status = port.wait(pid, deadline);
    if (!status || !*status || (*status)->exited()) return;
  }
}

Result<std::int64_t> checked(Result<std::int64_t> result, const char* what, int pid) {
  if (result && *result < 0)
    return fail_errno(what, "in pid " + std::to_string(pid), static_cast<int>(-*result));
  return result;
}

}  // namespace

Result<ForkedCopy> ForkedCopy::make(PtracePort& port, int tid, RemoteSyscalls& calls,
                                    RemoteAddress syscall_instruction, const Registers& registers,
                                    std::int64_t deadline_ns) {
  if (auto done = port.set_options(tid, kFollow); !done) return tl::unexpected(done.error());
  const auto made = checked(
      calls.call_making_child(SYS_clone, {CLONE_VM | CLONE_FILES | CLONE_FS, 0, 0, 0, 0, 0}),
      "clone", tid);
  if (auto done = port.set_options(tid, PTRACE_O_TRACESYSGOOD); !done)
    return tl::unexpected(done.error());
  if (!made) return tl::unexpected(made.error());
  const int intermediate = static_cast<int>(*made);

  Result<std::int64_t> forked = fail("fork", "", "not tried");
  Status exited = await_birth(port, intermediate, deadline_ns);
  if (exited) {
    RemoteSyscalls inside(port, intermediate, syscall_instruction, registers, deadline_ns);
    exited = inside.begin();
    if (exited) {
      forked = checked(
          inside.call_making_child(SYS_clone, {CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0, 0}),
          "fork", intermediate);
      exited = inside.call_exit(SYS_exit_group, 0);
    }
  }
  if (!exited) kill_and_reap(port, intermediate);

  ForkedCopy copy(port, forked ? static_cast<int>(*forked) : 0);
  // The rank takes the end of its child, before anything in it can ask.
  const auto reaped =
      calls.call(SYS_wait4, {static_cast<std::uint64_t>(intermediate), 0, __WALL, 0, 0, 0});
  if (!reaped) return tl::unexpected(reaped.error());
  if (!exited) return with_context(exited.error(), "make a copy of", "tid " + std::to_string(tid));
  if (!forked) return tl::unexpected(forked.error());

  if (auto done = await_birth(port, copy.pid_, deadline_ns); !done)
    return tl::unexpected(done.error());
  auto own = port.get_registers(copy.pid_);
  if (!own) return tl::unexpected(own.error());
  copy.registers_ = *own;
  if (auto done = port.set_options(copy.pid_, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL); !done)
    return tl::unexpected(done.error());
  return copy;
}

ForkedCopy::ForkedCopy(ForkedCopy&& other) noexcept
    : port_(other.port_), pid_(std::exchange(other.pid_, 0)), registers_(other.registers_) {}

void ForkedCopy::kill() {
  if (pid_ > 0) kill_and_reap(*port_, std::exchange(pid_, 0));
}

}  // namespace ckpt::tracee
