// One rank's part in checkpoints: its state from QUIESCE to RESUME.
//
// Purpose: takes the agent's frames and what the program's threads do, and
//   answers with frames. The doors, the drain and the clocks are driven here.
// Ownership: the shim thread's. Threads: that thread alone.
// Errors: a failed send shows in the channel (it is disconnected then).
// Source: ARCHITECTURE.md "A checkpoint"; format/wire/shim_channel.h.
#pragma once

#include <optional>

#include "mpi_shim/agent_channel.hpp"
#include "mpi_shim/drain.hpp"

namespace ckpt::shim {

class RankCut {
 public:
  RankCut(AgentChannel& channel, int rank, int world_size)
      : channel_(channel), rank_(rank), world_size_(world_size) {}

  // The page the agent reads; nullptr: none.
  void set_status_page(ckpt_status_page* page) {
    page_ = page;
    if (page_) show(phase_);
  }

  void handle(const Frame& frame);

  // What can go on without a frame. True: call again soon, the lower half wants
  // driving or was just moved.
  bool step();

  // Whether a copy of this rank may be taken now: it is drained, and its thread does
  // nothing that a copy must not begin with. resume() ends it, too.
  void end_drained();
  void show_drained();
  // Forgets a checkpoint under way and lets the program go on.
  void resume();

  // Driving the lower half: the caller must not wait long for events.
  bool driving() const { return phase_ == CKPT_RANK_CUT || phase_ == CKPT_RANK_DRAINING; }
  // The program may have to wait for the agent.
  bool held_up() const { return phase_ != CKPT_RANK_RUNNING && phase_ != CKPT_RANK_REBUILDING; }
  bool drained() const { return phase_ == CKPT_RANK_DRAINED; }
  void show(ckpt_rank_phase phase);

 private:
  void quiesce(std::uint64_t generation);
  void set_targets(const Frame& frame);
  void cut(std::uint64_t generation);
  void report_level();
  void report_raised();
  bool try_to_cut();
  bool drain_on();
  void cannot(const std::string& reason);

  AgentChannel& channel_;
  int rank_, world_size_;
  ckpt_status_page* page_ = nullptr;
  ckpt_rank_phase phase_ = CKPT_RANK_RUNNING;
  std::uint64_t generation_ = 0;
  bool closing_ = false;  // the doors are closed, somebody may be inside yet
  std::optional<Drain> drain_;
};

}  // namespace ckpt::shim
