#include "agent/snapshot/thread_state.hpp"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstring>

#include "agent/proc/proc_file.hpp"
#include "agent/tracee/syscall_restart.hpp"

namespace ckpt::snapshot {
namespace {

// struct rseq and struct rseq_cs of linux/rseq.h, as far as needed.
constexpr std::uint64_t kRseqCsOffset = 8;
struct RseqCs {
  std::uint32_t version, flags;
  std::uint64_t start_ip, post_commit_offset, abort_ip;
};

void leave_rseq(tracee::PtracePort& port, int pid, const image::Rseq& rseq,
                tracee::Registers& registers) {
  if (rseq.address == 0) return;
  std::uint64_t section_address = 0;
  if (!port.read_memory(pid, tracee::RemoteAddress(rseq.address + kRseqCsOffset), &section_address,
                        sizeof section_address) ||
      section_address == 0)
    return;
  RseqCs section{};
  if (!port.read_memory(pid, tracee::RemoteAddress(section_address), &section, sizeof section))
    return;
  tracee::leave_rseq_section(registers,
                             {section.start_ip, section.post_commit_offset, section.abort_ip});
}

std::optional<tracee::CodeBefore> code_before(tracee::PtracePort& port, int pid,
                                              std::uint64_t rip) {
  tracee::CodeBefore code{};
  if (!port.read_memory(pid, tracee::RemoteAddress(rip - code.size()), code.data(), code.size()))
    return std::nullopt;
  return code;
}

std::string thread_name(int pid, int tid) {
  auto name = proc::read_whole(proc::path_of(pid, "task/" + std::to_string(tid) + "/comm"));
  if (!name) return "";
  if (!name->empty() && name->back() == '\n') name->pop_back();
  return *name;
}

}  // namespace

Result<CapturedThread> capture_thread(tracee::PtracePort& port, int pid,
                                      const tracee::StoppedThread& thread) {
  CapturedThread captured;
  image::Thread& state = captured.state;
  state.tid = thread.tid;
  state.name = thread_name(pid, thread.tid);
  auto xsave = port.get_xsave(thread.tid);
  if (!xsave) return tl::unexpected(xsave.error());
  state.xsave = std::move(*xsave);
  auto mask = port.get_signal_mask(thread.tid);
  if (!mask) return tl::unexpected(mask.error());
  state.signal_mask = *mask;
  auto robust = port.get_robust_list(thread.tid);
  if (!robust) return tl::unexpected(robust.error());
  state.robust_list = *robust;
  auto rseq = port.get_rseq(thread.tid);
  if (!rseq) return tl::unexpected(rseq.error());
  state.rseq = *rseq;
  auto pending = port.peek_signals(thread.tid, false);
  if (!pending) return tl::unexpected(pending.error());
  state.pending_signals = std::move(*pending);

  tracee::Registers stopped = thread.registers;
  leave_rseq(port, pid, state.rseq, stopped);
  captured.resume = tracee::registers_to_resume(stopped);
  const tracee::Registers saved =
      tracee::registers_for_image(stopped, code_before(port, pid, stopped.rip));
  state.registers.resize(sizeof saved);
  std::memcpy(state.registers.data(), &saved, sizeof saved);
  return captured;
}

Status ask_thread(tracee::RemoteSyscalls& calls, ScratchBytes& scratch, image::Thread& state) {
  const std::string subject = "tid " + std::to_string(state.tid);
  auto result = calls.call(SYS_sigaltstack, {0, scratch.address()});
  if (!result) return tl::unexpected(result.error());
  if (*result < 0) return fail_errno("sigaltstack", subject, static_cast<int>(-*result));
  auto stack = scratch.get<stack_t>();
  if (!stack) return tl::unexpected(stack.error());
  state.alt_stack = {reinterpret_cast<std::uint64_t>(stack->ss_sp), stack->ss_size,
                     stack->ss_flags};
  result = calls.call(SYS_prctl, {PR_GET_TID_ADDRESS, scratch.address()});
  if (!result) return tl::unexpected(result.error());
  if (*result < 0)
    return fail_errno("prctl PR_GET_TID_ADDRESS", subject, static_cast<int>(-*result));
  auto address = scratch.get<std::uint64_t>();
  if (!address) return tl::unexpected(address.error());
  state.tid_address = *address;
  return {};
}

}  // namespace ckpt::snapshot
