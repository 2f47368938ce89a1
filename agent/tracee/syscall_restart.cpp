#include "agent/tracee/syscall_restart.hpp"

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace ckpt::tracee {
namespace {

// Kernel-internal, from include/linux/errno.h.
constexpr std::int64_t kRestartSys = 512, kRestartNoIntr = 513, kRestartNoHand = 514,
                       kRestartBlock = 516;
constexpr unsigned long long kTimerAbsolute = 1;

bool in_syscall(const Registers& registers) {
  return static_cast<std::int64_t>(registers.orig_rax) >= 0;
}

std::int64_t result_of(const Registers& registers) {
  return static_cast<std::int64_t>(registers.rax);
}

void rewind(Registers& registers, std::uint64_t number) {
  registers.rip -= 2;  // the `syscall` instruction
  registers.rax = number;
}

// Calls that end with EINTR by a mere stop of the tracer, see signal(7).
bool interrupted_by_the_stop(const Registers& registers) {
  static constexpr long kCalls[] = {SYS_epoll_wait,  SYS_epoll_pwait, SYS_epoll_pwait2,
                                    SYS_semop,       SYS_semtimedop,  SYS_rt_sigtimedwait,
                                    SYS_io_getevents};
  return result_of(registers) == -EINTR &&
         std::find(std::begin(kCalls), std::end(kCalls), static_cast<long>(registers.orig_rax)) !=
             std::end(kCalls);
}

// The number of a call that uses a restart block.
std::optional<std::uint64_t> number_behind_restart(const Registers& registers,
                                                   const std::optional<CodeBefore>& code) {
  if (registers.orig_rax != SYS_restart_syscall) return registers.orig_rax;
  if (!code || (*code)[0] != 0xb8 || (*code)[5] != 0x0f || (*code)[6] != 0x05) return std::nullopt;
  std::uint32_t number = 0;
  std::memcpy(&number, code->data() + 1, sizeof number);
  return number;
}

void settle_restart_block(Registers& registers, const std::optional<CodeBefore>& code) {
  const auto number = number_behind_restart(registers, code);
  bool again = false;
  if (number) {
    switch (*number) {
      case SYS_nanosleep: again = registers.rsi == 0 || registers.rsi == registers.rdi; break;
      case SYS_clock_nanosleep:
        again = (registers.rsi & kTimerAbsolute) != 0 || registers.r10 == 0 ||
                registers.r10 == registers.rdx;
        break;
      case SYS_poll:
      case SYS_futex: again = true; break;
      default: break;
    }
  }
  if (again)
    rewind(registers, *number);
  else
    registers.rax = static_cast<std::uint64_t>(-static_cast<std::int64_t>(EINTR));
}

}  // namespace

Registers registers_for_image(const Registers& stopped, const std::optional<CodeBefore>& code) {
  Registers registers = registers_to_resume(stopped);
  if (in_syscall(registers)) {
    switch (-result_of(registers)) {
      case kRestartSys:
      case kRestartNoIntr:
      case kRestartNoHand: rewind(registers, registers.orig_rax); break;
      case kRestartBlock: settle_restart_block(registers, code); break;
      default: break;
    }
  }
  registers.orig_rax = ~0ull;
  return registers;
}

Registers registers_to_resume(const Registers& stopped) {
  Registers registers = stopped;
  if (in_syscall(registers) && interrupted_by_the_stop(registers)) {
    rewind(registers, registers.orig_rax);
    registers.orig_rax = ~0ull;
  }
  return registers;
}

void leave_rseq_section(Registers& registers, const RseqSection& section) {
  if (registers.rip - section.start < section.length) registers.rip = section.abort;
}

}  // namespace ckpt::tracee
