#include "agent/restore/process_plan.hpp"

#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/user.h>

#include <algorithm>
#include <cstring>

#include "fmt/format.h"
#include "format/posix/try.hpp"

namespace ckpt::restore {
namespace {

constexpr std::uint64_t kStackSize = 64 << 10;  // of the restorer, for each thread
constexpr std::uint64_t kSiginfoSize = 128;
constexpr std::uint64_t kLegacyAndHeader = 576;  // fxsave area and xsave header
constexpr std::uint64_t kXcr0Offset = 464;       // in the software bytes of NT_X86_XSTATE
constexpr std::uint64_t kXstateBvOffset = 512;
constexpr std::uint64_t kX87AndSse = 3;

std::uint64_t word_at(const std::vector<std::uint8_t>& bytes, std::uint64_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

Result<const std::uint8_t*> copy_signals(const std::vector<std::vector<std::uint8_t>>& pending,
                                         ArenaMemory& kept) {
  auto at = CKPT_TRY(kept.array<std::uint8_t>(pending.size() * kSiginfoSize));
  for (std::size_t i = 0; i < pending.size(); ++i) {
    if (pending[i].size() < sizeof(int))
      return fail("plan pending signals", "", "a siginfo is too short");
    std::memcpy(at + i * kSiginfoSize, pending[i].data(),
                std::min<std::size_t>(pending[i].size(), kSiginfoSize));
  }
  return at;
}

// Copies the extended state and says how much of it sigreturn is to take:
// what is beyond the components in use (AMX tiles, say) may be more than the
// kernel accepts.
Status plan_extended_state(const image::Thread& from, const ExtendedState& machine,
                           ArenaMemory& kept, ckpt_plan_thread& to) {
  const std::string subject = fmt::format("tid {}", from.tid);
  if (from.xsave.empty()) return {};
  if (from.xsave.size() < kLegacyAndHeader)
    return fail("plan registers of", subject, "xsave is too short");
  const std::uint64_t enabled = word_at(from.xsave, kXcr0Offset);
  if ((enabled & ~machine.enabled) != 0) {
    return fail(
        "plan registers of", subject,
        fmt::format(
            "the image was taken on a processor with more vector state (XCR0 {:#x}, here {:#x})",
            enabled, machine.enabled));
  }
  const std::uint64_t in_use = word_at(from.xsave, kXstateBvOffset) | kX87AndSse;
  std::uint64_t size = kLegacyAndHeader;
  for (int feature = 2; feature < 63; ++feature) {
    if ((in_use >> feature & 1) != 0) size = std::max(size, machine.end_of_component(feature));
  }
  if (size > from.xsave.size()) {
    return fail("plan registers of", subject,
                "this processor lays out its vector state in another way");
  }
  auto area = CKPT_TRY(kept.allocate(size + sizeof(std::uint32_t), 64));
  std::memcpy(area, from.xsave.data(), size);
  to.xsave = static_cast<std::uint8_t*>(area);
  to.xsave_size = size;
  to.xsave_features = in_use;
  return {};
}

Status plan_thread(const image::Thread& from, const ExtendedState& machine, ArenaMemory& kept,
                   ckpt_plan_thread& to) {
  if (from.registers.size() != sizeof to.registers) {
    return fail("plan registers of", fmt::format("tid {}", from.tid), "they have another size");
  }
  std::memcpy(to.registers, from.registers.data(), sizeof to.registers);
  std::strncpy(to.name, from.name.c_str(), sizeof to.name - 1);
  to.signal_mask = from.signal_mask;
  to.alt_stack = from.alt_stack.address;
  to.alt_stack_size = from.alt_stack.size;
  to.alt_stack_flags = from.alt_stack.flags;
  to.robust_head = from.robust_list.head;
  to.robust_length = from.robust_list.length;
  to.tid_address = from.tid_address;
  to.rseq_address = from.rseq.address;
  to.rseq_length = from.rseq.length;
  to.rseq_signature = from.rseq.signature;
  to.old_tid = from.tid;
  auto pending = CKPT_TRY(copy_signals(from.pending_signals, kept));
  to.pending = pending;
  to.pending_count = static_cast<std::uint32_t>(from.pending_signals.size());
  auto stack = CKPT_TRY(kept.allocate(kStackSize, 64));
  to.stack_top = reinterpret_cast<std::uint64_t>(stack) + kStackSize;
  return plan_extended_state(from, machine, kept, to);
}

}  // namespace

ExtendedState machine_extended_state() {
  ExtendedState state;
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  state.enabled = std::uint64_t{high} << 32 | low;
  state.end_of_component = [](int feature) -> std::uint64_t {
    unsigned size = 0, offset = 0, c = 0, d = 0;
    if (__get_cpuid_count(0xd, static_cast<unsigned>(feature), &size, &offset, &c, &d) == 0)
      return 0;
    return std::uint64_t{offset} + size;
  };
  return state;
}

Status plan_threads(const image::Process& process, const ExtendedState& machine, ArenaMemory& kept,
                    ckpt_restore_plan& plan) {
  if (process.threads.empty()) return fail("plan threads", "", "the image has none");
  auto threads = CKPT_TRY(kept.array<ckpt_plan_thread>(process.threads.size()));
  for (std::size_t i = 0; i < process.threads.size(); ++i) {
    CKPT_TRY(plan_thread(process.threads[i], machine, kept, threads[i]));
    threads[i].plan = &plan;
  }
  plan.threads = threads;
  plan.thread_count = static_cast<std::uint32_t>(process.threads.size());
  return {};
}

Status plan_signals(const image::Process& process, ArenaMemory& kept, ckpt_restore_plan& plan) {
  if (process.signal_actions.size() != std::size(plan.signal_actions)) {
    return fail("plan signal actions", "",
                fmt::format("{} of them, not {}", process.signal_actions.size(),
                            std::size(plan.signal_actions)));
  }
  for (std::size_t i = 0; i < process.signal_actions.size(); ++i) {
    const auto& from = process.signal_actions[i];
    plan.signal_actions[i] = {from.handler, from.flags, from.restorer, from.mask};
  }
  auto pending = CKPT_TRY(copy_signals(process.pending_signals, kept));
  plan.pending = pending;
  plan.pending_count = static_cast<std::uint32_t>(process.pending_signals.size());
  return {};
}

Status plan_timers(const image::Process& process, ArenaMemory& kept, ckpt_restore_plan& plan) {
  for (int i = 0; i < 3; ++i) {
    plan.interval_timers_us[i][0] = process.interval_timers[i].interval_us;
    plan.interval_timers_us[i][1] = process.interval_timers[i].value_us;
    // Expired, its signal pending: the kernel arms it again when the signal is
    // taken. That kernel is gone, so it is armed for the next turn.
    if (process.interval_timers[i].value_us == 0) {
      plan.interval_timers_us[i][1] = process.interval_timers[i].interval_us;
    }
  }
  auto timers = CKPT_TRY(kept.array<ckpt_plan_timer>(process.posix_timers.size()));
  for (std::size_t i = 0; i < process.posix_timers.size(); ++i) {
    const auto& from = process.posix_timers[i];
    ckpt_plan_timer& to = timers[i];
    to = {from.id, from.clock,         from.notify,   from.signal,     -1,
          0,       from.value_pointer, from.value_ns, from.interval_ns};
    for (std::size_t t = 0; from.notify_tid > 0 && t < process.threads.size(); ++t) {
      if (process.threads[t].tid == from.notify_tid)
        to.notify_thread = static_cast<std::int32_t>(t);
    }
    constexpr int kThreadId = 4;  // SIGEV_THREAD_ID
    if ((from.notify & kThreadId) != 0 && to.notify_thread < 0) {
      return fail("plan timer", fmt::format("{}", from.id),
                  fmt::format("it signals tid {}, which the image does not have", from.notify_tid));
    }
  }
  // In ascending order: without PR_TIMER_CREATE_RESTORE_IDS they are counted up to.
  std::sort(timers, timers + process.posix_timers.size(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  plan.timers = timers;
  plan.timer_count = static_cast<std::uint32_t>(process.posix_timers.size());
  return {};
}

Status plan_layout(const image::Process& process, ArenaMemory& kept, ParkedFiles& files,
                   ckpt_restore_plan& plan) {
  const image::MemoryLayout& from = process.layout;
  ckpt_plan_layout& to = plan.layout;
  to.start_code = from.start_code;
  to.end_code = std::max(from.end_code, from.start_code + 1);  // the kernel wants one byte at least
  to.start_data = from.start_data;
  to.end_data = from.end_data;
  to.start_brk = from.start_brk;
  to.brk = from.brk;
  to.start_stack = from.start_stack;
  to.arg_start = from.arg_start;
  to.arg_end = from.arg_end;
  to.env_start = from.env_start;
  to.env_end = from.env_end;
  // The kernel takes pairs up to AT_NULL, and no more than it has room for.
  std::vector<std::uint64_t> auxv;
  for (std::size_t i = 0; i + 1 < from.auxv.size() && from.auxv[i] != AT_NULL; i += 2) {
    auxv.push_back(from.auxv[i]);
    auxv.push_back(from.auxv[i + 1]);
  }
  auxv.push_back(AT_NULL);
  auxv.push_back(0);
  auto copy = CKPT_TRY(kept.array<std::uint64_t>(auxv.size()));
  std::copy(auxv.begin(), auxv.end(), copy);
  to.auxv = reinterpret_cast<std::uint64_t>(copy);
  to.auxv_size = static_cast<std::uint32_t>(auxv.size() * sizeof(std::uint64_t));
  // For /proc/self/exe; the program runs without it.
  auto executable = files.open(process.executable, O_RDONLY);
  to.executable_fd = executable ? *executable : -1;
  return {};
}

}  // namespace ckpt::restore
