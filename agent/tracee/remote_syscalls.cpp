#include "agent/tracee/remote_syscalls.hpp"

#include <sys/auxv.h>

#include <algorithm>
#include <vector>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"

namespace ckpt::tracee {
namespace {

constexpr std::size_t kVdsoTextLimit = 2 * 4096;
constexpr std::uint64_t kRedZone = 128;
// Blocked for the time of the calls: all but the two that cannot be.
constexpr std::uint64_t kAllSignals = ~0ull;

std::string tid_text(int tid) { return "tid " + std::to_string(tid); }

std::uint64_t vdso_address(const std::vector<std::uint64_t>& auxv) {
  for (std::size_t i = 0; i + 1 < auxv.size(); i += 2)
    if (auxv[i] == AT_SYSINFO_EHDR) return auxv[i + 1];
  return 0;
}

}  // namespace

Result<RemoteAddress> find_vdso_syscall(PtracePort& port, int pid) {
  auto bytes = proc::read_whole(proc::path_of(pid, "auxv"));
  if (!bytes) return tl::unexpected(bytes.error());
  const std::uint64_t base = vdso_address(proc::parse_auxv(*bytes));
  const std::string subject = "vdso of pid " + std::to_string(pid);
  if (base == 0) return fail("find", subject, "no AT_SYSINFO_EHDR");
  std::vector<std::uint8_t> text(kVdsoTextLimit);
  if (auto read = port.read_memory(pid, RemoteAddress(base), text.data(), text.size()); !read) {
    text.resize(4096);
    read = port.read_memory(pid, RemoteAddress(base), text.data(), text.size());
    if (!read) return with_context(read.error(), "read", subject);
  }
  static constexpr std::uint8_t kSyscall[] = {0x0f, 0x05};
  const auto found =
      std::search(text.begin(), text.end(), std::begin(kSyscall), std::end(kSyscall));
  if (found == text.end()) return fail("find syscall instruction", subject, "there is none");
  return RemoteAddress(base + static_cast<std::uint64_t>(found - text.begin()));
}

RemoteSyscalls::RemoteSyscalls(PtracePort& port, int tid, RemoteAddress syscall_instruction,
                               const Registers& registers, std::int64_t deadline_ns)
    : port_(port),
      tid_(tid),
      instruction_(syscall_instruction),
      saved_(registers),
      deadline_ns_(deadline_ns) {}

Status RemoteSyscalls::begin() {
  auto mask = port_.get_signal_mask(tid_);
  if (!mask) return tl::unexpected(mask.error());
  if (auto done = port_.set_signal_mask(tid_, kAllSignals); !done) return done;
  saved_mask_ = *mask;
  return {};
}

RemoteAddress RemoteSyscalls::scratch(std::size_t size) const {
  return RemoteAddress((saved_.rsp - kRedZone - size) & ~63ull);
}

Status RemoteSyscalls::aim(long number, const std::array<std::uint64_t, 6>& arguments) {
  Registers registers = saved_;
  registers.rip = instruction_.value();
  registers.rax = static_cast<std::uint64_t>(number);
  registers.orig_rax = ~0ull;  // not in a system call: the kernel must restart nothing
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = arguments[5];
  moved_ = true;
  return port_.set_registers(tid_, registers);
}

// The next stop that concerns the call: entry, exit, or an event of it.
Result<WaitStatus> RemoteSyscalls::next_stop() {
  for (;;) {
    if (auto done = port_.resume_to_syscall(tid_, 0); !done) return tl::unexpected(done.error());
    auto status = port_.wait(tid_, deadline_ns_);
    if (!status) return tl::unexpected(status.error());
    if (!*status)
      return fail("inject system call", tid_text(tid_), "it does not return", ETIMEDOUT);
    if ((*status)->exited())
      return fail("inject system call", tid_text(tid_), "the thread ended", ESRCH);
    if ((*status)->signal_delivery()) {
      // All are blocked, so this one was forced on the thread: the call faulted.
      return fail("inject system call", tid_text(tid_),
                  "signal " + std::to_string((*status)->stop_signal()), EFAULT);
    }
    // A late stop request (SIGSTOP of the group) is passed over here; the kernel
    // repeats it when the thread is let go.
    if ((*status)->interrupt_stop() || (*status)->group_stop()) continue;
    return **status;
  }
}

Result<std::int64_t> RemoteSyscalls::call(long number, std::array<std::uint64_t, 6> arguments) {
  if (auto done = aim(number, arguments); !done) return tl::unexpected(done.error());
  for (int stops = 0; stops < 2;) {
    auto status = next_stop();
    if (!status) return tl::unexpected(status.error());
    if ((*status).in_syscall_stop()) ++stops;
  }
  auto registers = port_.get_registers(tid_);
  if (!registers) return tl::unexpected(registers.error());
  return static_cast<std::int64_t>(registers->rax);
}

Result<std::int64_t> RemoteSyscalls::call_making_child(long number,
                                                       std::array<std::uint64_t, 6> arguments) {
  if (auto done = aim(number, arguments); !done) return tl::unexpected(done.error());
  std::int64_t child = 0;
  for (int stops = 0; stops < 2;) {
    auto status = next_stop();
    if (!status) return tl::unexpected(status.error());
    if ((*status).in_syscall_stop()) {
      ++stops;
    } else if ((*status).event() != 0) {
      auto message = port_.event_message(tid_);
      if (!message) return tl::unexpected(message.error());
      child = static_cast<std::int64_t>(*message);
    }
  }
  auto registers = port_.get_registers(tid_);
  if (!registers) return tl::unexpected(registers.error());
  const auto result = static_cast<std::int64_t>(registers->rax);
  // The event names the child in our pid namespace; the result in the tracee's.
  return result < 0 ? result : child;
}

Status RemoteSyscalls::call_exit(long number, std::uint64_t code) {
  if (auto done = aim(number, {code}); !done) return done;
  saved_mask_.reset();
  moved_ = false;
  for (;;) {
    if (auto done = port_.resume(tid_, 0); !done) return done;
    auto status = port_.wait(tid_, deadline_ns_);
    if (!status) return tl::unexpected(status.error());
    if (!*status) return fail("inject exit", tid_text(tid_), "it does not end", ETIMEDOUT);
    if ((*status)->exited()) return {};
  }
}

Status RemoteSyscalls::end() {
  if (!saved_mask_) return {};
  const std::uint64_t mask = *saved_mask_;
  saved_mask_.reset();
  Status result;
  if (moved_) {
    moved_ = false;
    // After an exit stop the kernel would go straight to user space with the
    // saved registers, -ERESTARTSYS and all. A stop by PTRACE_INTERRUPT lies
    // where the kernel decides about restarts and signals.
    result = port_.interrupt(tid_);
    if (result) result = port_.resume(tid_, 0);
    while (result) {
      auto status = port_.wait(tid_, deadline_ns_);
      if (!status) {
        result = tl::unexpected(status.error());
      } else if (!*status) {
        result = fail("inject system call", tid_text(tid_), "it does not stop again", ETIMEDOUT);
      } else if ((*status)->exited()) {
        result = fail("inject system call", tid_text(tid_), "the thread ended", ESRCH);
      } else if ((*status)->interrupt_stop() || (*status)->group_stop()) {
        break;
      } else {
        result = port_.interrupt(tid_);
        if (result) result = port_.resume(tid_, 0);
      }
    }
    if (auto done = port_.set_registers(tid_, saved_); !done && result) result = done;
  }
  if (auto done = port_.set_signal_mask(tid_, mask); !done && result) result = done;
  return result;
}

}  // namespace ckpt::tracee
