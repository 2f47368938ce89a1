// What the state machine does in each state, with each event.
#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ckpt::coordinator {
namespace {

constexpr std::uint64_t kGeneration = 7;

// Two agents: 10 has ranks 0 and 1, 20 has rank 2.
class CheckpointFsmTest : public ::testing::Test {
 protected:
  Actions begin() {
    return fsm.step(Begin{kGeneration, 3, {{10, "one", {0, 1}}, {20, "two", {2}}}});
  }
  Actions say(std::uint32_t agent, wire::Message message) {
    return fsm.step(FromAgent{agent, std::move(message)});
  }
  Actions clocks() {
    say(10, wire::Clocks{kGeneration, {{0, 2, 1}}, {{1, 5, 3, 2}, {2, 1, 2, 2}}});
    return say(20, wire::Clocks{kGeneration, {{2, 1, 1}}, {{1, 6, 3, 1}}});
  }
  Actions level(std::uint64_t version = 1) {
    say(10, wire::Level{kGeneration, version});
    return say(20, wire::Level{kGeneration, version});
  }
  Actions sent() {
    say(10, wire::Sent{kGeneration, 0, {{0, 2, 4}, {1, 2, 3}}});
    return say(20, wire::Sent{kGeneration, 0, {{2, 0, 9}}});
  }
  Actions drained() {
    say(10, wire::Drained{kGeneration, 3, 150});
    return say(20, wire::Drained{kGeneration, 0, 0});
  }
  Actions snapped() {
    say(10, wire::Snapped{kGeneration, 500, 1000});
    return say(20, wire::Snapped{kGeneration, 900, 2000});
  }
  Actions flushed() {
    say(10, wire::Flushed{kGeneration, "/a", 1100});
    return say(20, wire::Flushed{kGeneration, "/b", 2200});
  }
  // Everything up to the state, which is then the present one.
  void reach(State state) {
    begin();
    if (state == State::quiesce) return;
    clocks();
    if (state == State::level) return;
    level();
    if (state == State::cut) return;
    sent();
    if (state == State::drain) return;
    drained();
    if (state == State::snapshot) return;
    snapped();
    if (state == State::flush) return;
    flushed();
  }
  template <typename T>
  static std::vector<std::pair<std::uint32_t, T>> sends(const Actions& actions) {
    std::vector<std::pair<std::uint32_t, T>> all;
    for (const Action& action : actions) {
      const auto* send = std::get_if<Send>(&action);
      if (send == nullptr) continue;
      if (const auto* it = std::get_if<T>(&send->message)) all.emplace_back(send->agent, *it);
    }
    return all;
  }
  static bool called(const Actions& actions) {
    return actions.size() == 1 && std::holds_alternative<CallForTargets>(actions[0]);
  }
  static const Ended* ended(const Actions& actions) {
    return actions.empty() ? nullptr : std::get_if<Ended>(&actions.back());
  }

  CheckpointFsm fsm;
};

TEST_F(CheckpointFsmTest, QuiesceGoesToEveryAgent) {
  const Actions actions = begin();
  EXPECT_EQ(fsm.state(), State::quiesce);
  EXPECT_EQ(sends<wire::Quiesce>(actions).size(), 2u);
}

TEST_F(CheckpointFsmTest, RanksMissingIsNotReady) {
  const Actions actions = fsm.step(Begin{1, 4, {{10, "one", {0, 1}}}});
  ASSERT_NE(ended(actions), nullptr);
  EXPECT_EQ(ended(actions)->verdict, wire::Verdict::not_ready);
  EXPECT_EQ(ended(actions)->reason, "2 of 4 ranks are present");
  EXPECT_EQ(fsm.state(), State::idle);
}

TEST_F(CheckpointFsmTest, TargetsAreTheMaximumAndGoWhereTheCommunicatorIs) {
  begin();
  const auto targets = sends<wire::Targets>(clocks());
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[0].second.clocks, (std::vector<wire::Clock>{{1, 6, 3, 3}, {2, 1, 2, 2}}));
  EXPECT_EQ(targets[1].second.clocks, (std::vector<wire::Clock>{{1, 6, 3, 3}}));
}

TEST_F(CheckpointFsmTest, ACommunicatorNotYetKnownToAllMembersGoesToEveryAgent) {
  begin();
  say(10, wire::Clocks{kGeneration, {{0, 2, 1}}, {{1, 5, 3, 2}, {9, 1, 2, 1}, {8, 0, 2, 1}}});
  const auto targets =
      sends<wire::Targets>(say(20, wire::Clocks{kGeneration, {{2, 1, 1}}, {{1, 5, 3, 1}}}));
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[1].second.clocks, (std::vector<wire::Clock>{{1, 5, 3, 3}, {9, 1, 2, 1}}))
      << "not 8, on which nobody has begun anything";
}

TEST_F(CheckpointFsmTest, CutFollowsWhenAllAreLevel) {
  reach(State::level);
  EXPECT_TRUE(say(10, wire::Level{kGeneration, 1}).empty());
  EXPECT_TRUE(say(10, wire::Level{kGeneration, 1}).empty()) << "said twice";
  const Actions actions = say(20, wire::Level{kGeneration, 1});
  EXPECT_EQ(fsm.state(), State::cut);
  EXPECT_EQ(sends<wire::Cut>(actions).size(), 2u);
}

TEST_F(CheckpointFsmTest, ARaiseConcernsOnlyAgentsWithTheCommunicator) {
  reach(State::level);
  say(20, wire::Level{kGeneration, 1});
  EXPECT_TRUE(called(say(10, wire::Raise{kGeneration, 0, {{2, 2, 2, 0}}})));
  const auto targets = sends<wire::Targets>(fsm.step(TargetsDue{}));
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(targets[0].first, 10u);
  EXPECT_EQ(targets[0].second.version, 2u);
  EXPECT_EQ(targets[0].second.clocks, (std::vector<wire::Clock>{{2, 2, 2, 2}})) << "what changed";
  say(10, wire::Level{kGeneration, 1});
  EXPECT_EQ(fsm.state(), State::level) << "level with an old version";
  say(10, wire::Level{kGeneration, 2});
  EXPECT_EQ(fsm.state(), State::cut) << "agent 20 stays level with version 1";
}

TEST_F(CheckpointFsmTest, ARaiseThatRaisesNothingMakesNoVersion) {
  reach(State::level);
  say(10, wire::Raise{kGeneration, 0, {{2, 2, 2, 0}}});
  fsm.step(TargetsDue{});
  EXPECT_TRUE(say(10, wire::Raise{kGeneration, 1, {{2, 2, 2, 0}}}).empty());
  EXPECT_TRUE(fsm.step(TargetsDue{}).empty());
}

TEST_F(CheckpointFsmTest, WhatIsRaisedAtTheSameTimeIsOneVersion) {
  reach(State::level);
  say(20, wire::Level{kGeneration, 1});
  EXPECT_TRUE(called(say(10, wire::Raise{kGeneration, 0, {{1, 7, 3, 0}, {2, 2, 2, 0}}})));
  EXPECT_TRUE(say(20, wire::Raise{kGeneration, 2, {{1, 8, 3, 0}}}).empty()) << "called already";
  say(10, wire::Level{kGeneration, 1});
  say(20, wire::Level{kGeneration, 1});
  EXPECT_EQ(fsm.state(), State::level) << "level with targets that have been raised";
  const auto targets = sends<wire::Targets>(fsm.step(TargetsDue{}));
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[0].second, (wire::Targets{kGeneration, 2, {{1, 8, 3, 3}, {2, 2, 2, 2}}}));
  EXPECT_EQ(targets[1].second, (wire::Targets{kGeneration, 2, {{1, 8, 3, 3}}}));
  say(10, wire::Level{kGeneration, 2});
  say(20, wire::Level{kGeneration, 2});
  EXPECT_EQ(fsm.state(), State::cut);
}

TEST_F(CheckpointFsmTest, ARaiseAfterTheCutAbortsToBeTriedAgain) {
  reach(State::cut);
  const Actions actions = say(10, wire::Raise{kGeneration, 1, {{2, 2, 2, 0}}});
  ASSERT_NE(ended(actions), nullptr);
  EXPECT_TRUE(ended(actions)->again);
}

TEST_F(CheckpointFsmTest, StalledAndBlockedRanksAreReleased) {
  reach(State::level);
  say(10, wire::Level{kGeneration, 1});
  fsm.step(Tick{});
  const auto queries = sends<wire::HoldUpQuery>(fsm.step(Tick{}));
  ASSERT_EQ(queries.size(), 1u) << "not to a node that is level";
  EXPECT_EQ(queries[0].first, 20u);
  say(20, wire::HoldUpAnswer{
              kGeneration, queries[0].second.query, 1, 1, {{2, 1, 1, 3, 0, "MPI_Recv"}}});
  const Actions actions = fsm.step(Tick{});
  EXPECT_EQ(sends<wire::Release>(actions).size(), 2u) << "a node behind has parked ranks as well";
  const auto targets = sends<wire::Targets>(actions);
  ASSERT_EQ(targets.size(), 2u) << "level must be said again";
  EXPECT_NE(fsm.awaited_text().find("in MPI_Recv"), std::string::npos) << "still known";
  EXPECT_TRUE(sends<wire::Release>(fsm.step(Tick{})).empty()) << "not on what was so before";
  EXPECT_TRUE(targets[0].second.clocks.empty());
  EXPECT_TRUE(say(10, wire::Level{kGeneration, 1}).empty());
  say(20, wire::Level{kGeneration, 2});
  EXPECT_EQ(fsm.state(), State::level);
  say(10, wire::Level{kGeneration, 2});
  EXPECT_EQ(fsm.state(), State::cut);
}

TEST_F(CheckpointFsmTest, ARankThatComputesIsWaitedFor) {
  reach(State::level);
  say(10, wire::Level{kGeneration, 1});
  for (int i = 0; i < 20; ++i) {
    const Actions actions = fsm.step(Tick{});
    EXPECT_TRUE(sends<wire::Release>(actions).empty());
    for (const auto& [agent, query] : sends<wire::HoldUpQuery>(actions)) {
      say(agent, wire::HoldUpAnswer{kGeneration, query.query, 1, 0, {{2, 1, 0, 3, 0, ""}}});
    }
  }
}

TEST_F(CheckpointFsmTest, ADeadlineNamesTheRankAndWhatItIsIn) {
  begin();
  std::uint64_t entry = 0;
  for (const Action& action : clocks()) {
    if (const auto* it = std::get_if<Entered>(&action)) entry = it->entry;
  }
  say(10, wire::Level{kGeneration, 1});
  fsm.step(Tick{});
  const auto queries = sends<wire::HoldUpQuery>(fsm.step(Tick{}));
  say(20, wire::HoldUpAnswer{
              kGeneration, queries.at(0).second.query, 1, 1, {{2, 1, 1, 3, 0, "MPI_Recv"}}});
  EXPECT_TRUE(fsm.step(Deadline{entry - 1}).empty()) << "of an earlier state";
  const Actions actions = fsm.step(Deadline{entry});
  ASSERT_NE(ended(actions), nullptr);
  EXPECT_EQ(ended(actions)->verdict, wire::Verdict::timed_out);
  EXPECT_EQ(ended(actions)->reason,
            "state level took too long: waits for rank 2 (in MPI_Recv, 3 collectives behind)");
  EXPECT_EQ(sends<wire::Aborted>(actions).size(), 2u);
}

TEST_F(CheckpointFsmTest, DrainTellsEachNodeWhatItsRanksExpect) {
  reach(State::cut);
  const auto drains = sends<wire::Drain>(sent());
  ASSERT_EQ(drains.size(), 2u);
  EXPECT_EQ(drains[0].second.channels, (wire::ChannelList{{2, 0, 9}}));
  EXPECT_EQ(drains[1].second.channels, (wire::ChannelList{{0, 2, 4}, {1, 2, 3}}));
}

TEST_F(CheckpointFsmTest, ResumeComesWhenTheLastAgentHasSnapped) {
  reach(State::drain);
  const Actions order = drained();
  ASSERT_EQ(order.size(), 3u);
  EXPECT_FALSE(std::get<OrderSnapshot>(order[1]).only);
  EXPECT_TRUE(sends<wire::Resume>(say(10, wire::Snapped{kGeneration, 500, 1})).empty());
  EXPECT_EQ(sends<wire::Resume>(say(20, wire::Snapped{kGeneration, 900, 1})).size(), 2u);
}

TEST_F(CheckpointFsmTest, CommitNamesAllPartsAndTellsTheAgents) {
  reach(State::flush);
  const Actions actions = flushed();
  const auto& commit = std::get<Commit>(actions.back());
  ASSERT_EQ(commit.parts.size(), 2u);
  EXPECT_EQ(commit.parts[1].path, "/b");
  EXPECT_EQ(commit.parts[1].ranks, std::vector<std::int32_t>{2});
  const Actions last = fsm.step(CommitEnded{true, ""});
  EXPECT_EQ(sends<wire::Committed>(last).size(), 2u);
  ASSERT_NE(ended(last), nullptr);
  EXPECT_EQ(ended(last)->verdict, wire::Verdict::committed);
  EXPECT_EQ(ended(last)->bytes, 3300u);
  EXPECT_EQ(ended(last)->frozen_ns, 900u);
  EXPECT_EQ(ended(last)->logged_messages, 3u);
  EXPECT_EQ(fsm.state(), State::idle);
}

TEST_F(CheckpointFsmTest, ACommitThatFailsAborts) {
  reach(State::commit);
  const Actions last = fsm.step(CommitEnded{false, "rename: No space left on device"});
  EXPECT_EQ(sends<wire::Aborted>(last).size(), 2u);
  EXPECT_EQ(ended(last)->reason, "rename: No space left on device");
}

TEST_F(CheckpointFsmTest, ProgressOfTheFlushRenewsItsDeadline) {
  reach(State::flush);
  say(10, wire::FlushProgress{kGeneration, 200, 1000});
  EXPECT_TRUE(say(10, wire::FlushProgress{kGeneration, 300, 1000}).empty()) << "told at a tick";
  const Actions actions = fsm.step(Tick{});
  const auto& advanced = std::get<FlushAdvanced>(actions.at(0));
  EXPECT_EQ(advanced.bytes_done, 300u);
  EXPECT_TRUE(fsm.step(Deadline{advanced.entry - 1}).empty());
  say(10, wire::FlushProgress{kGeneration, 300, 1000});
  EXPECT_TRUE(fsm.step(Tick{}).empty()) << "no progress";
  EXPECT_EQ(ended(fsm.step(Deadline{advanced.entry}))->verdict, wire::Verdict::timed_out);
}

class EveryState : public CheckpointFsmTest, public ::testing::WithParamInterface<State> {};

TEST_P(EveryState, RefusalAborts) {
  reach(GetParam());
  const Actions actions =
      say(10, wire::Refused{kGeneration, 1, "rank 1: fd 7 is a TCP socket to 10.0.0.1:22"});
  ASSERT_NE(ended(actions), nullptr);
  EXPECT_EQ(ended(actions)->verdict, wire::Verdict::refused);
  EXPECT_EQ(ended(actions)->reason, "rank 1: fd 7 is a TCP socket to 10.0.0.1:22");
  EXPECT_EQ(sends<wire::Aborted>(actions).size(), 2u);
}

TEST_P(EveryState, ALostAgentAborts) {
  reach(GetParam());
  const Actions actions = fsm.step(AgentLost{20, "closed its connection"});
  ASSERT_NE(ended(actions), nullptr);
  EXPECT_EQ(ended(actions)->during, GetParam());
  const auto aborted = sends<wire::Aborted>(actions);
  ASSERT_EQ(aborted.size(), 1u) << "not to the lost one";
  EXPECT_EQ(aborted[0].first, 10u);
}

TEST_P(EveryState, ALostRankAbortsBeforeTheCopiesExist) {
  reach(GetParam());
  const Actions gone = say(10, wire::RanksGone{{{1, "killed by signal 9"}}});
  EXPECT_EQ(ended(gone) != nullptr, GetParam() != State::flush);
}

TEST_P(EveryState, ARankInFinalizeAbortsBeforeTheCopiesExist) {
  reach(GetParam());
  const Actions actions = say(20, wire::Finalizing{{{2, 1, 1}}});
  EXPECT_EQ(ended(actions) != nullptr, GetParam() != State::flush);
}

TEST_P(EveryState, WhatIsAboutAnotherGenerationIsDropped) {
  reach(GetParam());
  EXPECT_TRUE(say(10, wire::Refused{kGeneration - 1, 1, "late"}).empty());
  EXPECT_TRUE(say(10, wire::Clocks{kGeneration - 1, {{0, 2, 1}}, {}}).empty());
  EXPECT_TRUE(say(10, wire::Flushed{kGeneration - 1, "/x", 1}).empty());
  EXPECT_EQ(fsm.state(), GetParam());
}

TEST_P(EveryState, AForeignRankAborts) {
  reach(GetParam());
  const Actions actions = say(20, wire::Clocks{kGeneration, {{0, 1, 1}}, {}});
  ASSERT_NE(ended(actions), nullptr);
  EXPECT_NE(ended(actions)->reason.find("agent on two sent Clocks"), std::string::npos);
}

TEST_P(EveryState, AnotherGenerationCanFollowAnAbort) {
  reach(GetParam());
  fsm.step(AbortRequest{"asked"});
  EXPECT_EQ(fsm.state(), State::idle);
  EXPECT_TRUE(say(10, wire::Snapped{kGeneration, 1, 1}).empty()) << "late";
  reach(State::commit);
  EXPECT_EQ(ended(fsm.step(CommitEnded{true, ""}))->verdict, wire::Verdict::committed);
}

INSTANTIATE_TEST_SUITE_P(States, EveryState,
                         ::testing::Values(State::quiesce, State::level, State::cut, State::drain,
                                           State::snapshot, State::flush),
                         [](const auto& each) { return std::string(state_name(each.param)); });

TEST_F(CheckpointFsmTest, OnceFlushedAnAgentIsNoLongerNeeded) {
  reach(State::flush);
  say(20, wire::Flushed{kGeneration, "/b", 1});
  EXPECT_TRUE(fsm.step(AgentLost{20, "gone"}).empty());
  say(10, wire::Flushed{kGeneration, "/a", 1});
  EXPECT_EQ(fsm.state(), State::commit);
  const Actions last = fsm.step(CommitEnded{true, ""});
  EXPECT_EQ(sends<wire::Committed>(last).size(), 1u);
}

TEST_F(CheckpointFsmTest, WithoutAnAnswerTheNodeIsNamed) {
  begin();
  EXPECT_EQ(fsm.awaited_text(), "waits for ranks 0-1 on one; rank 2 on two");
}

TEST_F(CheckpointFsmTest, ALongListOfMarkersGoesInParts) {
  Begin event{1, 2, {{10, "one", {0}}, {20, "two", {1}}}};
  fsm.step(event);
  say(10, wire::Clocks{1, {{0, 1, 1}}, {}});
  say(20, wire::Clocks{1, {{1, 1, 1}}, {}});
  say(10, wire::Level{1, 1});
  say(20, wire::Level{1, 1});
  // More than a part in all; in parts, as an agent sends them.
  wire::ChannelList part;
  while (part.packed().size() < wire::kMaxPart / 2) part.add({0, 1, ~0ull});
  EXPECT_TRUE(say(10, wire::Sent{1, 1, part}).empty());
  EXPECT_TRUE(say(10, wire::Sent{1, 1, part}).empty());
  say(10, wire::Sent{1, 0, part});
  const auto drains = sends<wire::Drain>(say(20, wire::Sent{1, 0, {}}));
  ASSERT_EQ(drains.size(), 3u);
  EXPECT_EQ(drains[0].second.channels.size(), 0u);
  EXPECT_EQ(drains[1].second.more, 1);
  EXPECT_EQ(drains[2].second.more, 0);
  EXPECT_EQ(drains[1].second.channels.size() + drains[2].second.channels.size(), 3 * part.size());
}

}  // namespace
}  // namespace ckpt::coordinator
