// Young's and Daly's intervals against their formulas, and against a brute force.
#include "coordinator/checkpoint_interval/checkpoint_interval.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace ckpt::coordinator {
namespace {

// Daly 2006, equation 20: expected wall time of a solve of `work` seconds with
// checkpoints of `cost` behind each `interval` of it (restarts take no time).
double expected_wall(double work, double interval, double cost, double mtbf) {
  return mtbf * (std::exp((interval + cost) / mtbf) - 1) * work / interval;
}

TEST(CheckpointInterval, YoungIsTheSquareRoot) { EXPECT_DOUBLE_EQ(young_interval(8, 100), 40); }

TEST(CheckpointInterval, DalyIsHisEquation37) {
  const double cost = 60, mtbf = 24 * 3600;
  const double x = cost / (2 * mtbf);
  EXPECT_DOUBLE_EQ(daly_interval(cost, mtbf),
                   std::sqrt(2 * cost * mtbf) * (1 + std::sqrt(x) / 3 + x / 9) - cost);
  EXPECT_DOUBLE_EQ(daly_interval(500, 200), 200);
}

TEST(CheckpointInterval, NoOtherIntervalIsNoticeablyBetter) {
  for (const double cost : {0.5, 10.0, 300.0}) {
    for (const double mtbf : {1800.0, 86400.0, 1e6}) {
      const double chosen = expected_wall(1e6, daly_interval(cost, mtbf), cost, mtbf);
      double best = chosen;
      for (double interval = cost / 4; interval < 4 * mtbf; interval *= 1.01) {
        best = std::min(best, expected_wall(1e6, interval, cost, mtbf));
      }
      EXPECT_LT(chosen / best, 1.001) << cost << " " << mtbf;
    }
  }
}

TEST(CheckpointInterval, TheNewestCheckpointsCountMost) {
  CheckpointCost cost;
  EXPECT_FALSE(cost.known());
  cost.add(1, 11);
  EXPECT_DOUBLE_EQ(cost.cost_s(), 1 + 0.1 * 10);
  for (int i = 0; i < 40; ++i) cost.add(2, 2);
  EXPECT_NEAR(cost.cost_s(), 2, 1e-3);
}

TEST(CheckpointInterval, TheFirstIsThereToLearnTheCost) {
  const IntervalPlan plan = plan_interval({}, {});
  EXPECT_DOUBLE_EQ(plan.interval_s, kFirstInterval_s);
  EXPECT_NE(plan.why.find("not known yet"), std::string::npos) << plan.why;
}

TEST(CheckpointInterval, AGivenRateRules) {
  CheckpointCost cost;
  cost.add(10, 10);
  const IntervalPlan plan = plan_interval(cost, {3600, 1e9, 500});
  EXPECT_DOUBLE_EQ(plan.interval_s, daly_interval(10, 3600) + 10);
  EXPECT_EQ(plan.why, "a checkpoint costs 10 s, one failure in 60 min (given)");
}

TEST(CheckpointInterval, SeenFailuresShortenIt) {
  CheckpointCost cost;
  cost.add(10, 10);
  const IntervalPlan none = plan_interval(cost, {0, 0, 0});
  EXPECT_DOUBLE_EQ(none.interval_s, daly_interval(10, kAssumedMtbf_s) + 10);
  const IntervalPlan some = plan_interval(cost, {0, 2 * 3600, 3});
  EXPECT_DOUBLE_EQ(some.interval_s, daly_interval(10, (kAssumedMtbf_s + 7200) / 4) + 10);
  EXPECT_NE(some.why.find("from 3 seen in 2 h"), std::string::npos) << some.why;
}

TEST(CheckpointInterval, NeverRightBehindTheLast) {
  CheckpointCost quick, slow;
  quick.add(0.0001, 0.001);
  EXPECT_DOUBLE_EQ(plan_interval(quick, {60, 0, 0}).interval_s, kShortest_s);
  slow.add(0.01, 400);
  EXPECT_DOUBLE_EQ(plan_interval(slow, {600, 0, 0}).interval_s, 800);
}

}  // namespace
}  // namespace ckpt::coordinator
