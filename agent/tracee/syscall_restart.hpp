// What a thread's registers must be in an image.
//
// Purpose: a thread stopped inside a system call has kernel-internal values in
//   its registers (-ERESTARTSYS ...) that only that kernel's next steps would
//   turn into a restart or an EINTR. An image is continued elsewhere: the
//   registers in it must say the same in user space's terms.
//
// The rules:
//   ERESTARTSYS, ERESTARTNOHAND, ERESTARTNOINTR: the call is made again.
//   ERESTART_RESTARTBLOCK: the kernel's own record of the remaining time is lost.
//     poll, futex and other calls with a relative time: made again with the
//       whole time (never shorter than asked).
//     nanosleep, clock_nanosleep: the kernel has written what remains to `rem`.
//       rem == req (sleep(3), std::this_thread::sleep_for): made again, exact.
//       no rem, or an absolute time: made again (the whole time, or exact).
//       another rem: EINTR, with the remaining time where the program asked for it.
//     A call that was restarted before has the number of restart_syscall; its
//     own number is read from the `mov $nr,%eax` before the instruction, which is
//     how libc calls; where that is not found: EINTR.
//   EINTR of a call that the stop itself interrupted and that Linux never
//     restarts (epoll_wait, semop ...): made again.
//   A restartable sequence (rseq) the thread was in: it continues at the abort
//     address, as after any preemption.
//
// Ownership: values. Threads: no shared state.
// Errors: none; reads of the tracee that fail count as "not known".
// Source: signal(7), arch/x86/kernel/signal.c, rseq(2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "agent/tracee/ptrace_port.hpp"

namespace ckpt::tracee {

// The 7 bytes that end at the thread's rip: "b8 nr nr nr nr 0f 05" in libc.
using CodeBefore = std::array<std::uint8_t, 7>;

Registers registers_for_image(const Registers& stopped, const std::optional<CodeBefore>& code);

// Registers with which the *running* program must go on: only what the stop
// itself did is undone; restarts are the kernel's business.
Registers registers_to_resume(const Registers& stopped);

// The rseq area's fields that matter; see linux/rseq.h.
struct RseqSection {
  std::uint64_t start = 0, length = 0, abort = 0;
};
void leave_rseq_section(Registers& registers, const RseqSection& section);

}  // namespace ckpt::tracee
