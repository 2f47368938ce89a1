// How often a job is to be checkpointed: Young's and Daly's formulas.
//
// Purpose: `--every auto`. From what checkpoints were seen to cost and how often
//   the job fails, the interval at which the time lost to both is least. Pure:
//   no clock, no file.
// Ownership: values. Threads: pure functions.
// Units: seconds of wall-clock time.
// Errors: none; numbers that make no sense are bounded (see kShortest).
// Source: J. W. Young, "A first order approximation to the optimum checkpoint
//   interval" (1974); J. T. Daly, "A higher order estimate of the optimum
//   checkpoint interval for restart dumps" (2006), equation 37.
#pragma once

#include <cstdint>
#include <string>

namespace ckpt::coordinator {

// Computation between two checkpoints, their own time not counted.
double young_interval(double cost_s, double mtbf_s);
double daly_interval(double cost_s, double mtbf_s);

// What checkpoints of this job cost its program, the newest ones most.
class CheckpointCost {
 public:
  // `downtime_s`: the program stood still; `duration_s`: request to commit.
  void add(double downtime_s, double duration_s);
  bool known() const { return count_ > 0; }
  // The program goes on while its copy is written, but not at full speed: of
  // that time a share counts as lost (kFlushShare).
  double cost_s() const;
  double duration_s() const { return duration_s_; }

  static constexpr double kFlushShare = 0.1;

 private:
  static constexpr double kWeightOfNewest = 0.3;
  double downtime_s_ = 0, duration_s_ = 0;
  std::uint64_t count_ = 0;
};

struct FailureHistory {
  double given_mtbf_s = 0;     // --mtbf; 0: not given
  double observed_s = 0;       // this job ran so long, all its starts together
  std::uint64_t failures = 0;  // and failed so often
};

struct IntervalPlan {
  double interval_s = 0;  // from the beginning of one checkpoint to that of the next
  std::string why;        // "cost 1.2 s, one failure in 24 h (given)"
};

// Where no failure rate is given: as if it had been watched for a day with one
// failure before, so that the first failures count and do not rule.
inline constexpr double kAssumedMtbf_s = 24 * 3600;
inline constexpr double kFirstInterval_s = 60;  // to learn what one costs
inline constexpr double kShortest_s = 10;

IntervalPlan plan_interval(const CheckpointCost& cost, const FailureHistory& failures);

}  // namespace ckpt::coordinator
