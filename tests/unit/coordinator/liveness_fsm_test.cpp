// Heartbeats: who is suspected, who is lost, and what a dead node is.
#include "coordinator/liveness_fsm/liveness_fsm.hpp"

#include <gtest/gtest.h>

namespace ckpt::coordinator {
namespace {

template <typename T>
std::vector<T> all(const LivenessActions& actions) {
  std::vector<T> found;
  for (const auto& each : actions) {
    if (const auto* it = std::get_if<T>(&each)) found.push_back(*it);
  }
  return found;
}

class LivenessFsmTest : public ::testing::Test {
 protected:
  LivenessFsmTest() {
    fsm.joined(1, "one");
    fsm.joined(2, "two");
  }
  // Ticks in which 1 answers and 2 is silent; the last one's actions.
  LivenessActions silent(std::uint32_t ticks, bool kernel) {
    LivenessActions last;
    for (std::uint32_t i = 0; i < ticks; ++i) {
      last = fsm.tick(kernel ? std::set<std::uint32_t>{1, 2} : std::set<std::uint32_t>{1});
      fsm.heard(1);
    }
    return last;
  }
  LivenessFsm fsm;
};

TEST_F(LivenessFsmTest, EachTickAsksEveryAgent) {
  const auto first = all<SendPing>(fsm.tick({}));
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].agent, 1u);
  EXPECT_EQ(first[1].agent, 2u);
  EXPECT_GT(all<SendPing>(fsm.tick({}))[0].sequence, first[0].sequence);
}

TEST_F(LivenessFsmTest, WhoAnswersIsNeverSuspected) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(fsm.tick({}).size(), 2u);
    EXPECT_TRUE(fsm.heard(1).empty());
    EXPECT_TRUE(fsm.heard(2).empty());
  }
}

TEST_F(LivenessFsmTest, SilenceIsSuspectedOnceThenLostOnce) {
  const auto suspected = all<AgentSuspected>(silent(kTicksToSuspect, false));
  ASSERT_EQ(suspected.size(), 1u);
  EXPECT_EQ(suspected[0].node, "two");
  EXPECT_TRUE(fsm.suspected(2));
  EXPECT_TRUE(all<AgentSuspected>(silent(1, false)).empty());
  const auto lost = all<AgentSilent>(silent(kTicksToLose - kTicksToSuspect - 1, false));
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].agent, 2u);
  EXPECT_TRUE(lost[0].node_gone);
  EXPECT_EQ(all<SendPing>(silent(1, false)).size(), 1u);
  EXPECT_TRUE(fsm.heard(2).empty());
}

TEST_F(LivenessFsmTest, ASignOfLifeClearsTheSuspicion) {
  silent(kTicksToLose - 1, false);
  ASSERT_EQ(all<AgentRecovered>(fsm.heard(2)).size(), 1u);
  EXPECT_FALSE(fsm.suspected(2));
  EXPECT_TRUE(all<AgentSilent>(silent(kTicksToLose - 1, false)).empty());
}

// A stopped agent, or one stuck in a system call: its node is no dead node.
TEST_F(LivenessFsmTest, AnAgentThatHangsOnALivingNodeIsNoDeadNode) {
  const auto lost = all<AgentSilent>(silent(kTicksToLose, true));
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_FALSE(lost[0].node_gone);
}

TEST_F(LivenessFsmTest, OneLostPacketAtTheLastMomentIsNoDeadNode) {
  silent(kTicksToLose - 1, true);
  const auto lost = all<AgentSilent>(silent(1, false));
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_FALSE(lost[0].node_gone);
}

TEST_F(LivenessFsmTest, WhoLeftIsForgotten) {
  fsm.left(2);
  EXPECT_EQ(silent(kTicksToLose, false).size(), 1u);
  EXPECT_EQ(fsm.silence(2), 0u);
}

}  // namespace
}  // namespace ckpt::coordinator
