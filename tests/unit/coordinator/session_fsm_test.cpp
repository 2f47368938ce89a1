#include "coordinator/session_fsm/session_fsm.hpp"

#include <gtest/gtest.h>

namespace ckpt::coordinator {
namespace {

template <typename T>
bool has(const std::vector<SessionNews>& news) {
  for (const SessionNews& each : news) {
    if (std::holds_alternative<T>(each)) return true;
  }
  return false;
}

class SessionFsmTest : public ::testing::Test {
 protected:
  void SetUp() override { session.agent_joined(1, "one", 100); }
  std::vector<SessionNews> join(std::int32_t rank, std::int32_t size = 3, std::uint32_t agent = 1,
                                bool rebuilding = false) {
    return session.step(
        agent, wire::RanksJoined{{{rank, size, 200 + rank, rebuilding ? 1u : 0u,
                                   rebuilding ? 4u : 0u, static_cast<std::uint8_t>(rebuilding)}}});
  }
  std::vector<SessionNews> rebuilt(std::int32_t rank) {
    return session.step(1, wire::Rebuilt{{{rank, 1, 1}}, 4});
  }
  SessionFsm session;
};

TEST_F(SessionFsmTest, SaysWhyItIsNotReady) {
  SessionFsm empty;
  EXPECT_EQ(empty.blocked_by(), "no agent is connected");
  EXPECT_EQ(session.blocked_by(), "no rank has called MPI_Init yet");
  join(1);
  EXPECT_EQ(session.blocked_by(), "of 3 ranks these are not there: 0, 2");
}

TEST_F(SessionFsmTest, AllPresentIsToldOnce) {
  EXPECT_FALSE(has<AllPresent>(join(0)));
  EXPECT_FALSE(has<AllPresent>(join(2)));
  EXPECT_TRUE(has<AllPresent>(join(1)));
  EXPECT_FALSE(session.blocked_by());
  EXPECT_FALSE(has<AllPresent>(join(1))) << "it comes again";
}

TEST_F(SessionFsmTest, ParticipantsAreByAgent) {
  session.agent_joined(2, "two", 101);
  join(0);
  join(1, 3, 2);
  join(2);
  const auto all = session.participants();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].ranks, (std::vector<std::int32_t>{0, 2}));
  EXPECT_EQ(all[1].node, "two");
}

TEST_F(SessionFsmTest, FinalizingBlocks) {
  join(0, 1);
  session.step(1, wire::Finalizing{{{0, 1, 1}}});
  EXPECT_EQ(session.blocked_by(), "in MPI_Finalize: rank 0");
}

TEST_F(SessionFsmTest, ARestartIsCompleteWhenAllHaveRebuilt) {
  for (std::int32_t rank = 0; rank < 3; ++rank) join(rank, 3, 1, true);
  EXPECT_EQ(session.blocked_by(), "not yet rebuilt after the restart: rank 0-2");
  EXPECT_TRUE(rebuilt(0).empty());
  EXPECT_TRUE(rebuilt(0).empty());
  rebuilt(2);
  const auto news = rebuilt(1);
  EXPECT_TRUE(has<RestartComplete>(news));
  EXPECT_TRUE(has<AllPresent>(news));
  EXPECT_EQ(session.restarted_from(), 4u);
}

TEST_F(SessionFsmTest, ANewAgentNeedNotKnowThatARankHasRebuilt) {
  join(0, 1, 1, true);
  rebuilt(0);
  session.agent_lost(1, "died");
  session.agent_joined(2, "one", 101);
  EXPECT_TRUE(has<AllPresent>(join(0, 1, 2, true)));
  EXPECT_FALSE(session.blocked_by());
}

TEST_F(SessionFsmTest, ALostAgentTakesItsRanksAlong) {
  session.agent_joined(2, "two", 101);
  join(0);
  join(1, 3, 2);
  join(2);
  const auto news = session.agent_lost(2, "closed its connection");
  ASSERT_EQ(news.size(), 1u);
  EXPECT_EQ(std::get<RanksDeparted>(news[0]).ranks, std::vector<std::int32_t>{1});
  session.agent_joined(3, "two", 102);
  EXPECT_TRUE(has<AllPresent>(join(1, 3, 3)));
}

TEST_F(SessionFsmTest, ARankOfANewAgentIsNotLostWithTheOldOne) {
  join(0, 1);
  session.agent_joined(2, "one", 101);
  join(0, 1, 2);
  EXPECT_TRUE(session.agent_lost(1, "late").empty());
  EXPECT_FALSE(session.blocked_by());
}

TEST_F(SessionFsmTest, RanksOfAnotherWorldAreKeptOut) {
  join(0, 2);
  EXPECT_TRUE(has<RankRejected>(join(1, 3)));
  EXPECT_NE(session.blocked_by()->find("one mpirun at a time"), std::string::npos);
  EXPECT_TRUE(has<RankRejected>(join(-1, 2)));
  EXPECT_TRUE(has<RankRejected>(join(2, 2)));
}

TEST_F(SessionFsmTest, AWorldTooBigToBeTrueCostsNoMemory) {
  EXPECT_TRUE(has<RankRejected>(join(0, 2'000'000'000)));
}

TEST_F(SessionFsmTest, RanksThatGoTogetherAreOnePieceOfNews) {
  for (std::int32_t rank = 0; rank < 3; ++rank) join(rank);
  const auto news = session.step(
      1, wire::RanksGone{{{2, "killed"}, {0, "killed"}, {1, "exited with 1"}, {7, "killed"}}});
  ASSERT_EQ(news.size(), 2u);
  EXPECT_EQ(std::get<RanksDeparted>(news[0]).ranks, (std::vector<std::int32_t>{0, 2}));
  EXPECT_EQ(std::get<RanksDeparted>(news[1]).description, "exited with 1");
  EXPECT_EQ(session.ranks_present(), 0u);
}

TEST_F(SessionFsmTest, ASecondMpirunMayFollowTheFirst) {
  join(0, 1);
  session.step(1, wire::RanksGone{{{0, "exited with 0"}}});
  EXPECT_TRUE(has<AllPresent>([&] {
    join(0, 2);
    return join(1, 2);
  }()));
  EXPECT_EQ(session.world_size(), 2);
}

}  // namespace
}  // namespace ckpt::coordinator
