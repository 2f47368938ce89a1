// When to take the last checkpoint before a job's time is over, and when to
// hand the job back to the batch system.
//
// Purpose: the decision as a step function (state, event) -> action, with no
//   clock and no Slurm in it. limit_guard.hpp carries it out.
// Ownership: values. Threads: none. Units: milliseconds; times on one clock that
//   the caller chooses (since the epoch).
// Errors: none; what is not known is an empty optional.
//
// The lead before the end is twice the longest of the last checkpoints and a
// margin for what comes late (the batch system's own clock, the requeue), but
// never more than half of what is left when the plan is first made: a short job
// must get somewhere. A checkpoint that failed is tried again as long as one
// still fits. With a generation there, the job is requeued before its end in any
// case: the work since then is lost, the job is not. Without one it is left alone:
// requeued it would begin again and again.
#pragma once

#include <cstdint>
#include <optional>

namespace ckpt::coordinator {

class LimitPlan {
 public:
  struct Settings {
    std::int64_t margin_ms = 30'000;
    std::int64_t first_guess_ms = 120'000;  // of a checkpoint's duration, before one was seen
    std::int64_t look_again_ms = 60'000;    // limits are extended, and cut short by preemption
    bool requeue = true;
  };
  enum class Do {
    wait,        // until `until`, then ask for the end and call step() again
    checkpoint,  // and report with checkpoint_ended()
    requeue,     // and report with requeue_ended()
    nothing,     // for good
  };
  struct Action {
    Do what = Do::wait;
    std::int64_t until_ms = 0;
    bool operator==(const Action&) const = default;
  };

  explicit LimitPlan(Settings settings) : settings_(settings) {}

  // What is known at `now`. `end`: when the job's time is over, nullopt without
  // a limit. `urgent`: someone says that it is over soon (SIGTERM).
  Action step(std::int64_t now_ms, std::optional<std::int64_t> end_ms, bool urgent = false);

  // A checkpoint the job took for another reason (--every, by hand), or ours.
  void measured(std::int64_t duration_ms);
  void has_generation() { generation_ = true; }
  void may_requeue(bool allowed) { settings_.requeue = allowed; }
  void checkpoint_ended(bool committed);
  void requeue_ended() { done_ = true; }

  std::int64_t lead_ms() const;

 private:
  Settings settings_;
  static constexpr int kRemembered = 3;
  std::int64_t durations_[kRemembered] = {};
  int seen_ = 0;
  std::int64_t longest_lead_ms_ = -1;  // half of what was left at first
  bool generation_ = false;
  bool saved_ = false;  // the checkpoint for this end is there
  bool done_ = false;   // nothing more to do
  int failures_ = 0;
};

}  // namespace ckpt::coordinator
