#include "agent/snapshot/frozen_rank.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"
#include "agent/snapshot/process_state.hpp"
#include "agent/snapshot/regions.hpp"
#include "agent/snapshot/thread_state.hpp"
#include "format/posix/host_name.hpp"
#include "format/wire/shim_channel.h"
#include "mpi_shim/host/lower_half.h"

namespace ckpt::snapshot {
namespace {

constexpr int kMpiThreadMultiple = 3;  // MPI_THREAD_MULTIPLE in every MPI ABI of ours

// The order to take a copy may be old: of an agent that was stopped, and whose rank
// waited for it no longer. What has gone on belongs to no generation.
Status check_still_drained(tracee::PtracePort& port, int pid, std::uint64_t restart_block) {
  if (restart_block == 0) return {};  // no shim's
  ckpt_restart_block block{};
  if (auto done = port.read_memory(pid, tracee::RemoteAddress(restart_block), &block, sizeof block);
      !done)
    return done;
  if (block.magic == CKPT_RESTART_BLOCK_MAGIC && block.drained != 1)
    return fail("snapshot", "pid " + std::to_string(pid),
                "it does not wait for this agent (any more)", EAGAIN);
  return {};
}

// What the lower half says of itself, where the restart block names its table.
std::optional<ckpt_lower_table> read_lower_table(tracee::PtracePort& port, int pid,
                                                 std::uint64_t restart_block) {
  ckpt_restart_block block{};
  ckpt_lower_table table{};
  if (restart_block == 0 ||
      !port.read_memory(pid, tracee::RemoteAddress(restart_block), &block, sizeof block) ||
      block.magic != CKPT_RESTART_BLOCK_MAGIC || block.lower_table == nullptr ||
      !port.read_memory(pid,
                        tracee::RemoteAddress(reinterpret_cast<std::uint64_t>(block.lower_table)),
                        &table, sizeof table) ||
      table.magic != CKPT_LOWER_MAGIC)
    return std::nullopt;
  return table;
}

Failure vanished(int pid) {
  return fail("stop", "pid " + std::to_string(pid), "the process is gone", ESRCH);
}

}  // namespace

Status FrozenRank::freeze(const RankRequest& request, const FreezeMeeting& meeting) {
  pid_ = request.pid;
  bool met_stopped = false, met_copied = false;
  Status status = prepare(request);
  if (status) {
    // Declared first: the threads go on before anything else here is undone.
    tracee::StoppedProcess process(port_, pid_);
    const std::int64_t started = port_.now_ns();
    deadline_ns_ = started + request.stop_timeout_ns;
    auto outcome = process.stop(deadline_ns_);
    if (!outcome)
      status = tl::unexpected(outcome.error());
    else if (*outcome == tracee::StoppedProcess::Outcome::vanished)
      status = vanished(pid_);
    else
      status = while_stopped(process, request, meeting, met_stopped, met_copied);
    process.release();
    frozen_ns_ = port_.now_ns() - started;
  }
  if (!met_stopped) met_copied = !meeting.all_stopped(false);
  if (!met_copied) meeting.all_copied();
  if (status) status = after_release();
  return status;
}

// All that can be known while the rank still runs.
Status FrozenRank::prepare(const RankRequest& request) {
  image_.rank = request.rank;
  image_.host = host_name();
  image_.restart_block = request.restart_block;
  image_.logged_messages = request.logged_messages;
  image_.logged_bytes = request.logged_bytes;
  auto instruction = tracee::find_vdso_syscall(port_, pid_);
  if (!instruction) return tl::unexpected(instruction.error());
  syscall_instruction_ = *instruction;
  if (const auto table = read_lower_table(port_, pid_, request.restart_block))
    image_.thread_multiple = table->provided == kMpiThreadMultiple;
  auto smaps = proc::read_smaps(pid_);
  if (!smaps) return tl::unexpected(smaps.error());
  forgets_in_fork_ = std::any_of(smaps->begin(), smaps->end(), [](const proc::Mapping& mapping) {
    return !is_left_out(mapping) && is_missing_in_fork(mapping);
  });
  return {};
}

DescriptorRules FrozenRank::descriptor_rules(const RankRequest& request) const {
  DescriptorRules rules;
  if (const auto table = read_lower_table(port_, pid_, request.restart_block))
    rules.base = table->descriptor_base;
  else
    rules.base = ckpt_descriptor_base(image_.process.limits[RLIMIT_NOFILE].soft);
  rules.channel_fd = request.channel_fd;
  rules.own_files = request.own_files;
  rules.skip_unsupported = request.skip_unsupported;
  return rules;
}

Status FrozenRank::while_stopped(tracee::StoppedProcess& process, const RankRequest& request,
                                 const FreezeMeeting& meeting, bool& met_stopped,
                                 bool& met_copied) {
  const int tid = process.threads().front().tid;
  if (auto done = check_still_drained(port_, pid_, request.restart_block); !done) return done;
  if (auto done = capture_threads(process); !done) return done;
  if (auto done = capture_process(port_, pid_, tid, image_.process); !done) return done;
  auto descriptors = capture_descriptors(pid_, descriptor_rules(request));
  if (!descriptors) return tl::unexpected(descriptors.error());
  image_.process.descriptors = std::move(*descriptors);
  // VmFlags cost a walk over all pages: only where they are known to matter.
  auto mappings = forgets_in_fork_ ? proc::read_smaps(pid_) : proc::read_maps(pid_);
  if (!mappings) return tl::unexpected(mappings.error());
  std::erase_if(*mappings, is_left_out);
  mappings_ = std::move(*mappings);

  met_stopped = true;
  const bool meet_again =
      meeting.all_stopped(std::any_of(mappings_.begin(), mappings_.end(), is_shared_memory));
  met_copied = !meet_again;
  if (auto done = ask_in_threads(process, request.fork_allowed); !done) return done;
  if (auto done = copy_stopped_ranges(); !done) return done;
  if (meet_again) {
    met_copied = true;
    meeting.all_copied();
  }
  return {};
}

Status FrozenRank::capture_threads(tracee::StoppedProcess& process) {
  for (const tracee::StoppedThread& thread : process.threads()) {
    auto captured = capture_thread(port_, pid_, thread);
    if (!captured) return tl::unexpected(captured.error());
    image_.process.threads.push_back(std::move(captured->state));
    resume_registers_.push_back(captured->resume);
  }
  return {};
}

// Calls made by the threads themselves; the first one also makes the copy.
Status FrozenRank::ask_in_threads(tracee::StoppedProcess& process, bool fork_allowed) {
  for (std::size_t i = 0; i < process.threads().size(); ++i) {
    const int tid = process.threads()[i].tid;
    tracee::RemoteSyscalls calls(port_, tid, syscall_instruction_, resume_registers_[i],
                                 deadline_ns_);
    if (auto done = calls.begin(); !done) return done;
    {
      ScratchBytes scratch(port_, pid_, resume_registers_[i].rsp);
      if (auto done = scratch.take(); !done) return done;
      if (auto done = ask_thread(calls, scratch, image_.process.threads[i]); !done) return done;
      if (i == 0)
        if (auto done = ask_process(calls, scratch, image_.process); !done) return done;
      if (auto done = scratch.restore(); !done) return done;
    }
    if (i == 0 && fork_allowed) {
      auto copy = tracee::ForkedCopy::make(port_, tid, calls, syscall_instruction_,
                                           resume_registers_[i], deadline_ns_);
      if (copy)
        copy_.emplace(std::move(*copy));
      else if (copy.error().code == ESRCH)
        return tl::unexpected(copy.error());
      else
        fork_failure_ = copy.error().message();
    }
    if (i == 0 && !copy_) {  // else the copy is asked, when the rank runs again
      ScratchBytes scratch(port_, pid_, resume_registers_[i].rsp);
      if (auto done = scratch.take(); !done) return done;
      if (auto done = ask_signal_actions(calls, scratch, image_.process); !done) return done;
      if (auto done = scratch.restore(); !done) return done;
    }
    if (auto done = calls.end(); !done) return done;
  }
  if (!fork_allowed) fork_failure_ = "not asked for";
  return {};
}

// What the copy does not hold, or everything when there is none.
Status FrozenRank::copy_stopped_ranges() {
  auto pages = proc::PageMap::open(pid_);
  if (!pages) return tl::unexpected(pages.error());
  auto reader = pages::PageReader::open(pid_);
  if (!reader) return tl::unexpected(reader.error());
  if (!copy_ && !forgets_in_fork_) {
    auto mappings = proc::read_smaps(pid_);
    if (!mappings) return tl::unexpected(mappings.error());
    std::erase_if(*mappings, is_left_out);
    mappings_ = std::move(*mappings);
  }
  std::vector<proc::PageRange> ranges;
  for (const proc::Mapping& mapping : mappings_) {
    if (mapping.name == "[vdso]" || mapping.name.starts_with("[vvar")) continue;
    if (is_shared_memory(mapping)) {
      for (const proc::PageRange& range :
           shared_content(pid_, mapping.start, mapping.end, mapping.offset, mapping.inode))
        ranges.push_back(range);
    } else if (!copy_ || is_missing_in_fork(mapping)) {
      auto record = make_region(mapping);
      if (!record) return tl::unexpected(record.error());
      if (record->all_pages && (mapping.protection & PROT_READ) != 0) {
        ranges.push_back({mapping.start, mapping.end});
        continue;
      }
      const auto choice =
          mapping.has_file() ? proc::PageChoice::own_copy : proc::PageChoice::present;
      std::vector<proc::PageRange> found;  // of this mapping: never joined to its neighbour's
      if (auto done = pages->collect(mapping.start, mapping.end, choice, found); !done) return done;
      ranges.insert(ranges.end(), found.begin(), found.end());
    }
  }
  return stopped_bytes_.copy(*reader, ranges);
}

// The rank runs again; the copy, if any, does not.
Status FrozenRank::after_release() {
  if (copy_) {
    auto mappings = proc::read_smaps(copy_->pid());
    if (!mappings) return tl::unexpected(mappings.error());
    std::erase_if(*mappings, is_left_out);
    // Ranges the copy lacks are known from the stop.
    for (const proc::Mapping& mapping : mappings_)
      if (is_missing_in_fork(mapping)) {
        std::erase_if(*mappings, [&](const auto& m) { return m.start == mapping.start; });
        mappings->push_back(mapping);
      }
    std::sort(mappings->begin(), mappings->end(),
              [](const auto& a, const auto& b) { return a.start < b.start; });
    if (mappings->size() != mappings_.size() ||
        !std::equal(mappings->begin(), mappings->end(), mappings_.begin(),
                    [&](const proc::Mapping& a, const proc::Mapping& b) {
                      return a.start == b.start && a.end == b.end &&
                             (forgets_in_fork_ || !is_missing_in_fork(a));
                    }))
      return fail("snapshot", "pid " + std::to_string(pid_),
                  "its memory map changed its fork flags at this moment", EAGAIN);
    mappings_ = std::move(*mappings);

    tracee::RemoteSyscalls calls(port_, copy_->pid(), syscall_instruction_, copy_->registers(),
                                 port_.now_ns() + 10'000'000'000);
    if (auto done = calls.begin(); !done) return done;
    ScratchBytes scratch(port_, copy_->pid(), copy_->registers().rsp);
    if (auto done = scratch.take(); !done) return done;
    if (auto done = ask_signal_actions(calls, scratch, image_.process); !done) return done;
  }
  return plan_pages();
}

}  // namespace ckpt::snapshot
