#include <gtest/gtest.h>

#include "mpi_shim/agent_silence.hpp"

namespace ckpt::shim {
namespace {

using std::chrono::milliseconds;

struct AgentSilenceTest : ::testing::Test {
  AgentSilence silence;
  AgentSilence::Time now{};
  // How many ms of silence it takes, looked at each `step`; 0: more than a minute.
  int until_lost(int step) {
    for (int passed = step; passed <= 60'000; passed += step) {
      now += milliseconds(step);
      if (silence.tick(now)) return passed;
    }
    return 0;
  }
};

TEST_F(AgentSilenceTest, IsLostAfterTwiceTheCoordinatorsBound) {
  silence.bound(1000);
  silence.heard(now);
  EXPECT_EQ(until_lost(100), 2000);
}

TEST_F(AgentSilenceTest, LookingOftenDoesNotMakeItShorter) {
  silence.bound(1000);
  silence.heard(now);
  EXPECT_EQ(until_lost(1), 2000);
}

// A rank that was stopped itself, or a node that stood still.
TEST_F(AgentSilenceTest, AGapCountsAsOneTick) {
  silence.bound(1000);
  silence.heard(now);
  now += milliseconds(100'000);
  EXPECT_FALSE(silence.tick(now));
  silence.heard(now);
  EXPECT_EQ(until_lost(100), 2000);
}

TEST_F(AgentSilenceTest, NoBoundNoLoss) {
  silence.heard(now);
  EXPECT_EQ(until_lost(100), 0);
  silence.bound(1000);
  silence.reset();
  EXPECT_EQ(until_lost(100), 0);
}

}  // namespace
}  // namespace ckpt::shim
