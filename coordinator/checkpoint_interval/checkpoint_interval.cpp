#include "coordinator/checkpoint_interval/checkpoint_interval.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ckpt::coordinator {
namespace {

std::string in_words(double seconds) {
  char text[32];
  if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.2g s", seconds);
    if (seconds >= 10) std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 7200) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else {
    std::snprintf(text, sizeof text, "%.3g h", seconds / 3600);
  }
  return text;
}

struct Rate {
  double mtbf_s;
  std::string source;
};

Rate failure_rate(const FailureHistory& failures) {
  if (failures.given_mtbf_s > 0) return {failures.given_mtbf_s, "given"};
  const double watched = kAssumedMtbf_s + std::max(failures.observed_s, 0.0);
  const double mtbf = watched / static_cast<double>(1 + failures.failures);
  if (failures.failures == 0) return {mtbf, "assumed; none was seen"};
  return {mtbf, "from " + std::to_string(failures.failures) + " seen in " +
                    in_words(failures.observed_s)};
}

}  // namespace

double young_interval(double cost_s, double mtbf_s) { return std::sqrt(2 * cost_s * mtbf_s); }

double daly_interval(double cost_s, double mtbf_s) {
  // A checkpoint that costs more than twice the time between failures: one a failure.
  if (cost_s >= 2 * mtbf_s) return mtbf_s;
  const double ratio = cost_s / (2 * mtbf_s);
  return young_interval(cost_s, mtbf_s) * (1 + std::sqrt(ratio) / 3 + ratio / 9) - cost_s;
}

void CheckpointCost::add(double downtime_s, double duration_s) {
  const double weight = count_ == 0 ? 1 : kWeightOfNewest;
  downtime_s_ += weight * (std::max(downtime_s, 0.0) - downtime_s_);
  duration_s_ += weight * (std::max(duration_s, 0.0) - duration_s_);
  ++count_;
}

double CheckpointCost::cost_s() const {
  return downtime_s_ + kFlushShare * std::max(duration_s_ - downtime_s_, 0.0);
}

IntervalPlan plan_interval(const CheckpointCost& cost, const FailureHistory& failures) {
  const Rate rate = failure_rate(failures);
  const std::string tail = "one failure in " + in_words(rate.mtbf_s) + " (" + rate.source + ")";
  if (!cost.known()) {
    return {kFirstInterval_s, "what a checkpoint costs is not known yet; " + tail};
  }
  IntervalPlan plan;
  plan.interval_s = daly_interval(cost.cost_s(), rate.mtbf_s) + cost.cost_s();
  plan.why = "a checkpoint costs " + in_words(cost.cost_s()) + ", " + tail;
  // The next one must not begin while this one is written, nor right behind it.
  const double least = std::max(kShortest_s, 2 * cost.duration_s());
  if (plan.interval_s < least) {
    plan.interval_s = least;
    plan.why += cost.duration_s() * 2 > kShortest_s ? "; not less than twice what one takes"
                                                    : "; not less than 10 s";
  }
  return plan;
}

}  // namespace ckpt::coordinator
