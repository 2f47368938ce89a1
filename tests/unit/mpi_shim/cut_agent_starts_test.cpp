// How often a node's agent is started.
#include <gtest/gtest.h>

#include "mpi_shim/agent_starts.hpp"

namespace ckpt::shim {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(AgentStarts, TheFirstOneAtOnce) {
  const AgentTurn turn = decide_start({}, 5 * kSecond);
  EXPECT_TRUE(turn.start);
  EXPECT_EQ(turn.next.count, 1u);
  EXPECT_EQ(turn.next.at_ns, 5 * kSecond);
}

TEST(AgentStarts, OneThatLivedLongIsReplacedAtOnce) {
  AgentStarts before = decide_start({}, kSecond).next;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t now = before.at_ns + kFirstAgentPauseNs + kLongAgentLifeNs;
    const AgentTurn turn = decide_start(before, now);
    ASSERT_TRUE(turn.start);
    EXPECT_EQ(turn.next.pause_ns, kFirstAgentPauseNs);
    before = turn.next;
  }
  EXPECT_EQ(before.count, 6u);
}

TEST(AgentStarts, OneThatDiesAtOnceIsGivenMoreAndMoreTime) {
  std::uint64_t now = kSecond;
  AgentStarts before = decide_start({}, now).next;
  std::uint64_t waited = 0;
  int started = 0;
  // An hour of an agent that cannot live: ranks ask every millisecond.
  while (now < 3600 * kSecond) {
    const AgentTurn turn = decide_start(before, now);
    if (turn.start) {
      ++started;
      before = turn.next;
    } else {
      EXPECT_LE(turn.wait_ns, kLongestAgentPauseNs);
      EXPECT_EQ(turn.next.count, before.count);
      waited = turn.wait_ns;
      now += turn.wait_ns;
    }
  }
  EXPECT_EQ(waited, kLongestAgentPauseNs);
  EXPECT_LT(started, 140);
  EXPECT_GT(started, 100);
}

TEST(AgentStarts, ALongPauseIsNotALongLife) {
  AgentStarts before{AgentStarts::kMagic, 9, kSecond, 25 * kSecond};
  EXPECT_FALSE(decide_start(before, 20 * kSecond).start);
  const AgentTurn turn = decide_start(before, 26 * kSecond);
  EXPECT_TRUE(turn.start);
  EXPECT_EQ(turn.next.pause_ns, kLongestAgentPauseNs);
}

TEST(AgentStarts, ARecordThatMakesNoSenseIsNone) {
  AgentStarts of_another_boot{AgentStarts::kMagic, 3, 900 * kSecond, kSecond};
  EXPECT_TRUE(decide_start(of_another_boot, kSecond).start);
  AgentStarts wild{AgentStarts::kMagic, 3, kSecond, ~0ull};
  EXPECT_TRUE(decide_start(wild, 2 * kSecond).start);
  AgentStarts foreign{7, 3, kSecond, kSecond};
  EXPECT_TRUE(decide_start(foreign, kSecond).start);
}

}  // namespace
}  // namespace ckpt::shim
