// When the last checkpoint before a limit is taken, and when the job is requeued.
#include "coordinator/time_limit/limit_plan.hpp"

#include <gtest/gtest.h>

namespace ckpt::coordinator {
namespace {

using Do = LimitPlan::Do;
constexpr std::int64_t kSecond = 1000, kMinute = 60 * kSecond, kHour = 60 * kMinute;

LimitPlan plan(bool requeue = true) {
  LimitPlan::Settings settings;
  settings.requeue = requeue;
  return LimitPlan(settings);
}

TEST(LimitPlan, WithoutALimitItLooksAgain) {
  auto it = plan();
  EXPECT_EQ(it.step(0, std::nullopt), (LimitPlan::Action{Do::wait, kMinute}));
}

TEST(LimitPlan, BeginsTwiceTheLongestCheckpointAndAMarginBeforeTheEnd) {
  auto it = plan();
  it.measured(10 * kSecond);
  it.measured(20 * kSecond);
  it.measured(5 * kSecond);
  const std::int64_t begin = kHour - 40 * kSecond - 30 * kSecond;
  EXPECT_EQ(it.step(0, kHour).what, Do::wait);
  EXPECT_EQ(it.step(begin - 1, kHour), (LimitPlan::Action{Do::wait, begin}));
  EXPECT_EQ(it.step(begin, kHour).what, Do::checkpoint);
}

TEST(LimitPlan, OnlyTheLastThreeCount) {
  auto it = plan();
  for (const int seconds : {100, 2, 2, 2}) it.measured(seconds * kSecond);
  EXPECT_EQ(it.lead_ms(), 34 * kSecond);
}

TEST(LimitPlan, LooksAgainNowAndThenForALimitThatIsMoved) {
  auto it = plan();
  EXPECT_EQ(it.step(0, kHour), (LimitPlan::Action{Do::wait, kMinute}));
  // Preemption: the end is near all at once.
  it.measured(kSecond);
  EXPECT_EQ(it.step(kMinute, kMinute + 20 * kSecond).what, Do::checkpoint);
}

TEST(LimitPlan, AShortJobGetsHalfOfItsTime) {
  auto it = plan();
  EXPECT_EQ(it.step(0, 60 * kSecond), (LimitPlan::Action{Do::wait, 30 * kSecond}));
  EXPECT_EQ(it.step(30 * kSecond, 60 * kSecond).what, Do::checkpoint);
}

TEST(LimitPlan, RequeuesOnceItIsSaved) {
  auto it = plan();
  it.measured(kSecond);
  it.step(0, kHour);
  ASSERT_EQ(it.step(kHour - 31 * kSecond, kHour).what, Do::checkpoint);
  it.checkpoint_ended(true);
  EXPECT_EQ(it.step(kHour - 30 * kSecond, kHour).what, Do::requeue);
  it.requeue_ended();
  EXPECT_EQ(it.step(kHour - 29 * kSecond, kHour).what, Do::nothing);
}

TEST(LimitPlan, WithoutRequeueTheJobRunsToItsEnd) {
  auto it = plan(false);
  it.measured(kSecond);
  it.step(0, kHour);
  ASSERT_EQ(it.step(kHour - 31 * kSecond, kHour).what, Do::checkpoint);
  it.checkpoint_ended(true);
  EXPECT_EQ(it.step(kHour - 30 * kSecond, kHour).what, Do::nothing);
}

TEST(LimitPlan, TriesAgainThenGoesOnFromTheOlderGeneration) {
  auto it = plan();
  it.measured(60 * kSecond);
  it.step(0, kHour);
  std::int64_t now = kHour - 150 * kSecond;
  for (int i = 0; i < 3; ++i, now += kSecond) {
    ASSERT_EQ(it.step(now, kHour).what, Do::checkpoint);
    it.checkpoint_ended(false);
  }
  const auto waits = it.step(now, kHour);
  EXPECT_EQ(waits.what, Do::wait);
  EXPECT_EQ(it.step(kHour - 30 * kSecond, kHour).what, Do::requeue);
}

TEST(LimitPlan, NeverRequeuesAJobThatWouldBeginAgain) {
  auto it = plan();
  it.step(0, kHour);
  std::int64_t now = kHour - 100 * kSecond;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(it.step(now, kHour).what, Do::checkpoint);
    it.checkpoint_ended(false);
  }
  EXPECT_EQ(it.step(now, kHour).what, Do::nothing);
  EXPECT_EQ(it.step(kHour, kHour).what, Do::nothing);
}

TEST(LimitPlan, AnExtendedLimitStartsOver) {
  auto it = plan();
  it.measured(kSecond);
  it.step(0, kHour);
  ASSERT_EQ(it.step(kHour - 31 * kSecond, kHour).what, Do::checkpoint);
  it.checkpoint_ended(true);
  EXPECT_EQ(it.step(kHour - 30 * kSecond, 2 * kHour).what, Do::wait);
  EXPECT_EQ(it.step(2 * kHour - 31 * kSecond, 2 * kHour).what, Do::checkpoint);
}

TEST(LimitPlan, UrgentMeansNowAndOnce) {
  auto it = plan();
  EXPECT_EQ(it.step(0, kHour, true).what, Do::checkpoint);
  it.checkpoint_ended(false);
  EXPECT_EQ(it.step(1, kHour, true).what, Do::nothing);
  auto other = plan();
  EXPECT_EQ(other.step(0, std::nullopt, true).what, Do::checkpoint);
  other.checkpoint_ended(true);
  EXPECT_EQ(other.step(1, std::nullopt, true).what, Do::nothing);
}

}  // namespace
}  // namespace ckpt::coordinator
