// FrozenRank: one rank as it was at an instant, ready to be written.
//
// Purpose: freeze() stops the rank, reads its state, makes the copy and lets the
//   rank go on; the rest (page lists, signal handlers) is read from the copy.
// Ownership: owns the forked copy (killed by the destructor) and copied bytes.
// Threads: everything, the destructor included, in the one thread that froze it.
// Units: ns.
// Errors: see RankFailure. After a failure the rank runs as before.
// Source: ARCHITECTURE.md, "A snapshot".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/pages/page_plan.hpp"
#include "agent/pages/page_reader.hpp"
#include "agent/proc/memory_map.hpp"
#include "agent/snapshot/descriptors.hpp"
#include "agent/snapshot/stopped_bytes.hpp"
#include "agent/tracee/forked_copy.hpp"
#include "agent/tracee/stopped_process.hpp"
#include "format/image/model.hpp"

namespace ckpt::snapshot {

struct RankRequest {
  std::int32_t rank = -1;
  int pid = 0;
  std::uint64_t restart_block = 0;
  int channel_fd = -1;
  std::uint64_t logged_messages = 0, logged_bytes = 0;
  std::set<std::pair<std::uint64_t, std::uint64_t>> own_files;
  bool skip_unsupported = false;
  bool fork_allowed = true;  // false: copy while stopped
  std::int64_t stop_timeout_ns = 10'000'000'000;
};

// Where the ranks of a node wait for each other.
struct FreezeMeeting {
  // All threads of this rank are stopped; `shared`: it has shared memory. Returns
  // whether any rank has.
  std::function<bool(bool shared)> all_stopped;
  // This rank's shared memory has been copied; returns when that of all ranks has.
  std::function<void()> all_copied;
};

class FrozenRank {
 public:
  explicit FrozenRank(tracee::PtracePort& port) : port_(port) {}

  // Calls each function of `meeting` exactly once, also when it fails, but for
  // all_copied when all_stopped returned false.
  Status freeze(const RankRequest& request, const FreezeMeeting& meeting);

  image::RankImage& image() { return image_; }
  const pages::PagePlan& plan() const { return plan_; }
  pages::PageReader* reader() { return reader_ ? &*reader_ : nullptr; }
  std::int64_t frozen_ns() const { return frozen_ns_; }
  int copy_pid() const { return copy_ ? copy_->pid() : 0; }
  // Why there is no forked copy; empty when there is one.
  const std::string& fork_failure() const { return fork_failure_; }

 private:
  Status prepare(const RankRequest& request);
  Status while_stopped(tracee::StoppedProcess& process, const RankRequest& request,
                       const FreezeMeeting& meeting, bool& met_stopped, bool& met_copied);
  Status capture_threads(tracee::StoppedProcess& process);
  Status ask_in_threads(tracee::StoppedProcess& process, bool fork_allowed);
  Status copy_stopped_ranges();
  Status after_release();
  Status plan_pages();
  Status make_readable(const std::vector<pages::PagePiece>& hidden);
  DescriptorRules descriptor_rules(const RankRequest& request) const;

  tracee::PtracePort& port_;
  int pid_ = 0;
  tracee::RemoteAddress syscall_instruction_;
  std::int64_t deadline_ns_ = 0;
  bool forgets_in_fork_ = false;  // has MADV_DONTFORK or MADV_WIPEONFORK ranges
  std::vector<tracee::Registers> resume_registers_;
  std::vector<proc::Mapping> mappings_;  // at the stop
  StoppedBytes stopped_bytes_;
  std::optional<tracee::ForkedCopy> copy_;
  std::optional<pages::PageReader> reader_;
  image::RankImage image_;
  pages::PagePlan plan_;
  std::int64_t frozen_ns_ = 0;
  std::string fork_failure_;
};

}  // namespace ckpt::snapshot
