#include "mpi_shim/rank_cut.hpp"

#include "mpi_shim/cut_state.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/logged_messages.hpp"
#include "mpi_shim/markers.hpp"

namespace ckpt::shim {

void RankCut::show(ckpt_rank_phase phase) {
  phase_ = phase;
  if (page_) __atomic_store_n(&page_->phase, phase, __ATOMIC_RELAXED);
}

void RankCut::handle(const Frame& frame) {
  switch (frame.type) {
    case CKPT_FRAME_QUIESCE: return quiesce(frame.head<ckpt_generation>().generation);
    case CKPT_FRAME_TARGETS: return set_targets(frame);
    case CKPT_FRAME_RELEASE: {
      CutLock lock;
      ++g_cut.releases;
      break;
    }
    case CKPT_FRAME_CUT: return cut(frame.head<ckpt_generation>().generation);
    case CKPT_FRAME_DRAIN:
      if (drain_) {
        drain_->expect(frame.entries<ckpt_marker>());
        show(CKPT_RANK_DRAINING);
      }
      return;
    case CKPT_FRAME_RESUME: {
      resume();
      const auto generation = frame.head<ckpt_generation>();
      (void)channel_.send(CKPT_FRAME_RESUMED, generation);
      return;
    }
    default: return;
  }
  wake_parked();
}

void RankCut::quiesce(std::uint64_t generation) {
  if (phase_ != CKPT_RANK_RUNNING) resume();
  generation_ = generation;
  show(CKPT_RANK_QUIESCING);
  {
    // Before the flag is up, so that no thread at a door meets old targets.
    CutLock lock;
    g_cut.targets.resume();
    g_cut.raised.clear();
  }
  if (!start_quiescing()) return cannot("the kernel has no membarrier");
  const std::vector<ClockReading> clocks = read_clocks();
  std::vector<ckpt_clock> report;
  {
    CutLock lock;
    report = g_cut.targets.quiesce(clocks);
  }
  wake_parked();
  (void)channel_.send_list<ckpt_clock>(CKPT_FRAME_CLOCKS, generation_, report);
}

void RankCut::set_targets(const Frame& frame) {
  if (phase_ != CKPT_RANK_QUIESCING && phase_ != CKPT_RANK_LEVEL) return;
  const std::vector<ckpt_clock> targets = frame.entries<ckpt_clock>();
  {
    CutLock lock;
    g_cut.targets.set_targets(frame.head<ckpt_list>().arg, targets);
  }
  wake_parked();
  report_level();
}

void RankCut::report_raised() {
  std::vector<ckpt_clock> raised;
  {
    CutLock lock;
    raised.swap(g_cut.raised);
  }
  if (!raised.empty()) (void)channel_.send_list<ckpt_clock>(CKPT_FRAME_RAISE, generation_, raised);
}

void RankCut::report_level() {
  report_raised();
  const std::vector<ClockReading> clocks = read_clocks();
  std::optional<std::uint64_t> version;
  std::uint64_t behind;
  {
    CutLock lock;
    version = g_cut.targets.report_level(clocks);
    behind = g_cut.targets.behind(clocks);
  }
  if (page_) __atomic_store_n(&page_->collectives_behind, behind, __ATOMIC_RELAXED);
  show(behind == 0 ? CKPT_RANK_LEVEL : CKPT_RANK_QUIESCING);
  if (!version) return;
  const ckpt_level level = {generation_, *version};
  (void)channel_.send(CKPT_FRAME_LEVEL, level);
}

void RankCut::cut(std::uint64_t generation) {
  if (phase_ != CKPT_RANK_QUIESCING && phase_ != CKPT_RANK_LEVEL) return;
  generation_ = generation;
  if (!close_doors()) return cannot("the kernel has no membarrier");
  closing_ = true;
  show(CKPT_RANK_CUT);
}

bool RankCut::try_to_cut() {
  const char* function = "";
  const std::uint32_t inside = threads_inside(&function);
  if (page_) {
    __atomic_store_n(&page_->threads_inside, inside, __ATOMIC_RELAXED);
    __builtin_strncpy(page_->inside, inside ? function : "", sizeof page_->inside - 1);
  }
  if (inside > 0) return false;
  closing_ = false;
  std::vector<ckpt_marker> sent;
  for (int peer = 0; peer < world_size_; ++peer) {
    if (g_sent[peer] != 0) sent.push_back({peer, 0, g_sent[peer]});
  }
  drain_.emplace(rank_, world_size_, generation_);
  (void)channel_.send_list<ckpt_marker>(CKPT_FRAME_SENT, generation_, sent);
  return true;
}

bool RankCut::drain_on() {
  const bool moved = drain_->step();
  if (!drain_->failure().empty()) {
    cannot(drain_->failure());
    return true;
  }
  if (page_) __atomic_store_n(&page_->messages_expected, drain_->missing(), __ATOMIC_RELAXED);
  if (drain_->done() && phase_ == CKPT_RANK_DRAINING) {
    show(CKPT_RANK_DRAINED);
    show_drained();
    const ckpt_drained drained = {generation_, g_logged_messages, g_logged_bytes};
    (void)channel_.send(CKPT_FRAME_DRAINED, drained);
  }
  return moved;
}

bool RankCut::step() {
  switch (phase_) {
    case CKPT_RANK_QUIESCING:
    case CKPT_RANK_LEVEL: report_level(); return false;
    case CKPT_RANK_CUT:
      if (closing_ && !try_to_cut()) return false;
      return drain_on();
    case CKPT_RANK_DRAINING: return drain_on();
    default: return false;
  }
}

void RankCut::show_drained() {
  if (drained()) __atomic_store_n(&g_restart_block.drained, 1u, __ATOMIC_SEQ_CST);
}

void RankCut::end_drained() { __atomic_store_n(&g_restart_block.drained, 0u, __ATOMIC_SEQ_CST); }

void RankCut::resume() {
  end_drained();
  if (drain_) drain_->abandon();
  drain_.reset();
  closing_ = false;
  {
    CutLock lock;
    g_cut.targets.resume();
    g_cut.raised.clear();
  }
  if (phase_ != CKPT_RANK_RUNNING) open_doors(current_epoch());
  show(CKPT_RANK_RUNNING);
}

void RankCut::cannot(const std::string& reason) {
  ckpt_text text = {};
  reason.copy(text.text, sizeof text.text - 1);
  resume();
  (void)channel_.send(CKPT_FRAME_CANNOT, text);
}

}  // namespace ckpt::shim
