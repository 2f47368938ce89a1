#include "coordinator/time_limit/limit_plan.hpp"

#include <algorithm>

namespace ckpt::coordinator {

void LimitPlan::measured(std::int64_t duration_ms) {
  durations_[seen_ % kRemembered] = duration_ms;
  ++seen_;
  generation_ = true;
}

std::int64_t LimitPlan::lead_ms() const {
  const std::int64_t longest = *std::max_element(durations_, durations_ + kRemembered);
  const std::int64_t lead =
      2 * (seen_ == 0 ? settings_.first_guess_ms : longest) + settings_.margin_ms;
  return longest_lead_ms_ < 0 ? lead : std::min(lead, longest_lead_ms_);
}

LimitPlan::Action LimitPlan::step(std::int64_t now_ms, std::optional<std::int64_t> end_ms,
                                  bool urgent) {
  if (done_) return {Do::nothing};
  const std::int64_t later = now_ms + settings_.look_again_ms;
  if (!end_ms && !urgent) return {Do::wait, later};
  // Who ends the job knows why: it is not for us to requeue it.
  if (urgent) return {saved_ || failures_ > 0 ? Do::nothing : Do::checkpoint};
  if (longest_lead_ms_ < 0) longest_lead_ms_ = std::max<std::int64_t>((*end_ms - now_ms) / 2, 0);
  const std::int64_t begin = *end_ms - lead_ms();
  // The limit was extended meanwhile: it is all to be done again, later.
  if (now_ms < begin) {
    saved_ = false;
    failures_ = 0;
    return {Do::wait, std::min(begin, later)};
  }
  const std::int64_t last_moment = *end_ms - std::min(settings_.margin_ms, lead_ms() / 2);
  const bool fits = now_ms < last_moment;
  if (!saved_ && fits && failures_ < 3) return {Do::checkpoint};
  if (!settings_.requeue || !generation_) {
    done_ = true;
    return {Do::nothing};
  }
  // A last checkpoint failed: go on as long as there is time, it may get somewhere.
  if (!saved_ && fits) return {Do::wait, std::min(last_moment, later)};
  return {Do::requeue};
}

void LimitPlan::checkpoint_ended(bool committed) {
  if (committed) {
    saved_ = generation_ = true;
  } else {
    ++failures_;
  }
}

}  // namespace ckpt::coordinator
