#include "agent/relay/relay_state.hpp"

#include <gtest/gtest.h>

namespace ckpt::relay {
namespace {

template <typename T>
std::vector<T> sent(const std::vector<Action>& actions) {
  std::vector<T> found;
  for (const Action& action : actions)
    if (const auto* to = std::get_if<ToCoordinator>(&action))
      if (const auto* message = std::get_if<T>(&to->message)) found.push_back(*message);
  return found;
}

template <typename T>
std::vector<T> all(const std::vector<Action>& actions) {
  std::vector<T> found;
  for (const Action& action : actions)
    if (const auto* one = std::get_if<T>(&action)) found.push_back(*one);
  return found;
}

std::vector<ToRank> orders(const std::vector<Action>& actions, std::uint32_t type) {
  std::vector<ToRank> found;
  for (const ToRank& order : all<ToRank>(actions))
    if (order.order.type == type) found.push_back(order);
  return found;
}

struct Relay : testing::Test {
  RelayState state;

  std::vector<Action> hello(int rank, std::uint32_t epoch = 0) {
    ckpt_hello hello{};
    hello.rank = rank;
    hello.world_size = 4;
    hello.epoch = epoch;
    return state.step(RankHello{hello});
  }
  std::vector<Action> said(int rank, ShimFrame frame) {
    return state.step(RankSaid{rank, std::move(frame)});
  }
  std::vector<Action> told(wire::Message message) {
    return state.step(CoordinatorSaid{std::move(message)});
  }
  // Two ranks and a coordinator, in generation 7.
  void quiesced() {
    state.step(CoordinatorUp{});
    hello(0);
    hello(1);
    told(wire::Quiesce{7});
  }
  void drained(std::uint64_t generation, std::vector<ckpt_marker> sent_by_0) {
    told(wire::Cut{generation});
    said(0, SentFrame{generation, std::move(sent_by_0)});
    said(1, SentFrame{generation, {}});
    told(wire::Drain{generation, 0, {}});
    said(0, DrainedFrame{generation, 3, 300});
    said(1, DrainedFrame{generation, 0, 0});
  }
  std::vector<Action> order_snapshot(std::uint64_t generation) {
    wire::Snapshot snapshot;
    snapshot.generation = generation;
    return told(snapshot);
  }
  void frozen() {
    quiesced();
    drained(7, {});
    order_snapshot(7);
    state.step(Frozen{7, 1000, 4096});
  }
};

TEST_F(Relay, TellsANewCoordinatorWhoIsThere) {
  EXPECT_TRUE(hello(0).empty());  // nobody to tell
  hello(1, 2);
  said(0, FinalizingFrame{});
  const auto actions = state.step(CoordinatorUp{});
  const auto joined = sent<wire::RanksJoined>(actions);
  ASSERT_EQ(joined.size(), 1u);
  ASSERT_EQ(joined[0].ranks.size(), 2u);
  EXPECT_EQ(joined[0].ranks[0].rebuilding, 0);
  EXPECT_EQ(joined[0].ranks[1].rebuilding, 1);
  EXPECT_EQ(joined[0].ranks[1].epoch, 2u);
  EXPECT_EQ(sent<wire::Finalizing>(actions).size(), 1u);
}

TEST_F(Relay, RanksThatComeTogetherAreOneMessage) {
  state.step(CoordinatorUp{});
  EXPECT_EQ(all<CallForNews>(hello(0)).size(), 1u);
  EXPECT_TRUE(hello(2).empty()) << "called for already";
  hello(1);
  const auto actions = state.step(NewsDue{});
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(sent<wire::RanksJoined>(actions).at(0).ranks.size(), 3u);
  EXPECT_TRUE(state.step(NewsDue{}).empty());
  said(2, FinalizingFrame{});
  said(0, FinalizingFrame{});
  said(1, FinalizingFrame{});
  state.step(RankClosed{1, "exited with 0"});
  const auto last = state.step(NewsDue{});
  EXPECT_EQ(sent<wire::Finalizing>(last).at(0).ranks, (std::vector<wire::RankRun>{{0, 3, 1}}));
  EXPECT_EQ(sent<wire::RanksGone>(last).at(0).ranks.at(0).rank, 1);
}

TEST_F(Relay, NewsGoesAheadOfWhatFollowsIt) {
  quiesced();
  state.step(NewsDue{});
  said(0, ClocksFrame{7, {}});
  said(1, ClocksFrame{7, {}});
  EXPECT_FALSE(hello(2).empty());
  EXPECT_TRUE(said(0, RaiseFrame{7, {{1, 5, 4, 0}}}).empty()) << "called for already";
  const auto actions = said(0, CannotFrame{"no"});
  ASSERT_EQ(actions.size(), 3u);
  EXPECT_EQ(sent<wire::RanksJoined>({actions[0]}).size(), 1u);
  EXPECT_EQ(sent<wire::Raise>({actions[1]}).size(), 1u);
  EXPECT_EQ(sent<wire::Refused>({actions[2]}).size(), 1u);
}

TEST_F(Relay, ARebuiltRankIsNotRebuildingForTheNextCoordinator) {
  state.step(CoordinatorUp{});
  hello(0, 1);
  said(0, RebuiltFrame{5});
  EXPECT_EQ(sent<wire::Rebuilt>(state.step(NewsDue{})).size(), 1u);
  state.step(CoordinatorLost{});
  EXPECT_EQ(sent<wire::RanksJoined>(state.step(CoordinatorUp{}))[0].ranks[0].rebuilding, 0);
}

TEST_F(Relay, ReportsClocksOfAllRanksAtOnce) {
  quiesced();
  EXPECT_TRUE(said(0, ClocksFrame{7, {{1, 10, 4, 0}, {2, 5, 2, 0}, {3, 9, 1, 0}}}).empty());
  const auto reports = sent<wire::Clocks>(said(1, ClocksFrame{7, {{1, 12, 4, 0}}}));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].ranks, (std::vector<wire::RankRun>{{0, 2, 1}}));
  ASSERT_EQ(reports[0].clocks.size(), 2u) << "without that of a communicator of one";
  EXPECT_EQ(reports[0].clocks[0], (wire::Clock{1, 12, 4, 2}));
  EXPECT_EQ(reports[0].clocks[1], (wire::Clock{2, 5, 2, 1}));
}

TEST_F(Relay, DropsWhatIsAboutAnotherGeneration) {
  quiesced();
  EXPECT_TRUE(said(0, ClocksFrame{6, {}}).empty());
  EXPECT_TRUE(said(0, LevelFrame{6, 1}).empty());
  EXPECT_TRUE(told(wire::Cut{8}).empty());
  EXPECT_TRUE(told(wire::Aborted{6, "old"}).empty());
  EXPECT_TRUE(state.step(Frozen{6, 0, 0}).empty());
}

TEST_F(Relay, SpreadsTargetsAndReleases) {
  quiesced();
  const auto targets = orders(told(wire::Targets{7, 3, {{1, 12, 4, 0}}}), CKPT_FRAME_TARGETS);
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[0].order.version, 3u);
  EXPECT_EQ(targets[0].order.clocks[0].count, 12u);
  EXPECT_EQ(orders(told(wire::Release{7}), CKPT_FRAME_RELEASE).size(), 2u);
}

TEST_F(Relay, ATargetGoesToTheRanksThatHaveTheCommunicator) {
  quiesced();
  said(0, ClocksFrame{7, {{1, 10, 4, 0}, {2, 5, 2, 0}}});
  said(1, ClocksFrame{7, {{1, 12, 4, 0}}});
  // 9 has a member somewhere that has not made it yet.
  const auto targets = orders(
      told(wire::Targets{7, 1, {{1, 12, 4, 4}, {2, 6, 2, 2}, {9, 1, 3, 2}}}), CKPT_FRAME_TARGETS);
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[0].order.clocks.size(), 3u);
  ASSERT_EQ(targets[1].order.clocks.size(), 2u);
  EXPECT_EQ(targets[1].order.clocks[1].gid, 9u);
}

TEST_F(Relay, SaysLevelOnceForTheNodeAndWithTheLastVersion) {
  quiesced();
  said(0, ClocksFrame{7, {{1, 10, 4, 0}}});
  said(1, ClocksFrame{7, {{1, 10, 4, 0}}});
  told(wire::Targets{7, 1, {{1, 12, 4, 4}}});
  EXPECT_TRUE(said(0, LevelFrame{7, 1}).empty());
  EXPECT_TRUE(said(0, LevelFrame{7, 1}).empty());
  told(wire::Targets{7, 2, {}});
  EXPECT_TRUE(said(1, LevelFrame{7, 1}).empty()) << "an old version";
  EXPECT_TRUE(said(1, LevelFrame{7, 2}).empty());
  const auto held = all<AnswerHoldUp>(told(wire::HoldUpQuery{7, 3}));
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].awaited, std::vector<std::int32_t>{0});
  EXPECT_EQ(sent<wire::Level>(said(0, LevelFrame{7, 2})).at(0).version, 2u);
}

TEST_F(Relay, ARaiseThatTheNodeHasMadeBeforeIsNotRepeated) {
  quiesced();
  said(0, ClocksFrame{7, {{1, 10, 4, 0}}});
  said(1, ClocksFrame{7, {{1, 10, 4, 0}}});
  told(wire::Targets{7, 1, {{1, 12, 4, 4}}});
  state.step(NewsDue{});
  EXPECT_EQ(all<CallForNews>(said(0, RaiseFrame{7, {{1, 13, 4, 0}}})).size(), 1u);
  EXPECT_EQ(sent<wire::Raise>(state.step(NewsDue{})).size(), 1u);
  EXPECT_TRUE(said(1, RaiseFrame{7, {{1, 13, 4, 0}}}).empty());
  EXPECT_TRUE(said(1, RaiseFrame{7, {{5, 2, 1, 0}}}).empty()) << "a communicator of one";
  EXPECT_FALSE(said(1, RaiseFrame{7, {{1, 13, 4, 0}, {6, 1, 2, 0}}}).empty());
  EXPECT_EQ(sent<wire::Raise>(state.step(NewsDue{})).at(0).clocks,
            (std::vector<wire::Clock>{{6, 1, 2, 0}}));
}

TEST_F(Relay, RaisesAtTheSameTimeAreOneMessage) {
  quiesced();
  said(0, ClocksFrame{7, {{1, 10, 4, 0}, {6, 1, 2, 0}}});
  said(1, ClocksFrame{7, {{1, 10, 4, 0}}});
  told(wire::Targets{7, 1, {{1, 12, 4, 4}, {6, 1, 2, 2}}});
  said(0, RaiseFrame{7, {{1, 13, 4, 0}}});
  said(0, RaiseFrame{7, {{6, 2, 2, 0}}});
  said(1, RaiseFrame{7, {{1, 14, 4, 0}}});
  said(1, LevelFrame{7, 1});
  const auto actions = said(0, LevelFrame{7, 1});
  ASSERT_EQ(actions.size(), 2u) << "ahead of what is said next";
  EXPECT_EQ(sent<wire::Raise>({actions[0]}).at(0).clocks,
            (std::vector<wire::Clock>{{1, 14, 4, 0}, {6, 2, 2, 0}}));
  EXPECT_EQ(sent<wire::Level>({actions[1]}).size(), 1u);
  EXPECT_TRUE(state.step(NewsDue{}).empty());
}

TEST_F(Relay, RaisesOfAnEndedGenerationAreNotTold) {
  quiesced();
  state.step(NewsDue{});
  EXPECT_FALSE(said(0, RaiseFrame{7, {{1, 13, 4, 0}}}).empty());
  told(wire::Aborted{7, "why"});
  EXPECT_TRUE(state.step(NewsDue{}).empty());
}

TEST_F(Relay, GivesEachRankItsMarkers) {
  quiesced();
  told(wire::Cut{7});
  EXPECT_TRUE(said(0, SentFrame{7, {{1, 0, 9}, {3, 0, 4}}}).empty());
  const auto reports = sent<wire::Sent>(said(1, SentFrame{7, {{2, 0, 1}}}));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].channels, (wire::ChannelList{{1, 2, 1}, {0, 3, 4}}))
      << "0 to 1 stays on the node";
  EXPECT_TRUE(told(wire::Drain{7, 1, {{3, 1, 2}}}).empty()) << "more to come";
  const auto drains = orders(told(wire::Drain{7, 0, {{2, 1, 5}}}), CKPT_FRAME_DRAIN);
  ASSERT_EQ(drains.size(), 2u);
  EXPECT_TRUE(drains[0].order.markers.empty());
  ASSERT_EQ(drains[1].order.markers.size(), 3u);
  EXPECT_EQ(drains[1].order.markers[0].count, 9u);
}

TEST_F(Relay, ADrainThatComesTwiceTakesNoMarkersAway) {
  quiesced();
  told(wire::Cut{7});
  said(0, SentFrame{7, {{1, 0, 9}}});
  EXPECT_TRUE(told(wire::Drain{7, 0, {}}).empty()) << "before all markers of the node are there";
  said(1, SentFrame{7, {}});
  EXPECT_EQ(orders(told(wire::Drain{7, 0, {}}), CKPT_FRAME_DRAIN).size(), 2u);
  EXPECT_TRUE(told(wire::Drain{7, 0, {}}).empty());
}

TEST_F(Relay, NamesOnlyChannelsThatChangedSinceTheLastDrain) {
  const auto markers = [&](std::uint64_t generation, std::vector<ckpt_marker> by_0) {
    told(wire::Quiesce{generation});
    told(wire::Cut{generation});
    said(0, SentFrame{generation, std::move(by_0)});
    return sent<wire::Sent>(said(1, SentFrame{generation, {}})).at(0).channels;
  };
  state.step(CoordinatorUp{});
  hello(0);
  hello(1);
  EXPECT_EQ(markers(7, {{2, 0, 9}, {3, 0, 4}}).size(), 2u);
  told(wire::Aborted{7, "before the drain"});
  EXPECT_EQ(markers(8, {{2, 0, 9}, {3, 0, 4}}).size(), 2u);
  told(wire::Drain{8, 0, {}});
  said(0, DrainedFrame{8, 0, 0});
  said(1, DrainedFrame{8, 0, 0});
  order_snapshot(8);
  told(wire::Aborted{8, "after it"});
  EXPECT_EQ(markers(9, {{2, 0, 9}, {3, 0, 5}}), (wire::ChannelList{{0, 3, 5}}));
  told(wire::Aborted{9, ""});
  state.step(RankClosed{0, "killed"});
  hello(0, 1);
  EXPECT_EQ(markers(10, {{2, 0, 9}, {3, 0, 4}}).size(), 2u) << "it is another process";
}

TEST_F(Relay, GoesFromSnapshotToCommit) {
  quiesced();
  drained(7, {});
  const auto freezes = all<Freeze>(order_snapshot(7));
  ASSERT_EQ(freezes.size(), 1u);
  ASSERT_EQ(freezes[0].ranks.size(), 2u);
  EXPECT_EQ(freezes[0].ranks[0].logged_messages, 3u);
  EXPECT_EQ(sent<wire::Snapped>(state.step(Frozen{7, 1000, 4096})).size(), 1u);
  const auto resumed = told(wire::Resume{7});
  EXPECT_EQ(orders(resumed, CKPT_FRAME_RESUME).size(), 2u);
  EXPECT_EQ(all<Write>(resumed).size(), 1u);
  EXPECT_EQ(sent<wire::FlushProgress>(state.step(WriteProgress{1, 2})).size(), 1u);
  EXPECT_EQ(sent<wire::Flushed>(state.step(Written{7, "/x", 10})).size(), 1u);
  const auto committed = told(wire::Committed{7, "/y"});
  ASSERT_EQ(all<DropSnapshot>(committed).size(), 1u);
  EXPECT_TRUE(all<DropSnapshot>(committed)[0].committed);
  EXPECT_EQ(state.phase(), RelayState::Phase::idle);
}

TEST_F(Relay, AnAbortOpensAllDoorsAndDropsTheCopies) {
  frozen();
  const auto actions = told(wire::Aborted{7, "deadline"});
  EXPECT_EQ(orders(actions, CKPT_FRAME_RESUME).size(), 2u);
  ASSERT_EQ(all<DropSnapshot>(actions).size(), 1u);
  EXPECT_FALSE(all<DropSnapshot>(actions)[0].committed);
  EXPECT_EQ(state.phase(), RelayState::Phase::idle);
}

TEST_F(Relay, ALostCoordinatorIsAnAbort) {
  quiesced();
  const auto actions = state.step(CoordinatorLost{});
  EXPECT_EQ(orders(actions, CKPT_FRAME_RESUME).size(), 2u);
  EXPECT_TRUE(all<DropSnapshot>(actions).empty());  // nothing was begun
  EXPECT_TRUE(state.step(CoordinatorLost{}).empty());
}

TEST_F(Relay, ALateFreezeOfAnAbortedGenerationSaysNothing) {
  quiesced();
  wire::Snapshot snapshot;
  snapshot.generation = 7;
  told(snapshot);
  told(wire::Aborted{7, "deadline"});
  EXPECT_TRUE(state.step(Frozen{7, 1, 1}).empty());
  EXPECT_TRUE(state.step(SnapshotFailed{7, 0, false, "x"}).empty());
}

TEST_F(Relay, RefusalsNameTheRank) {
  quiesced();
  const auto cannot = sent<wire::Refused>(said(1, CannotFrame{"a window is open"}));
  ASSERT_EQ(cannot.size(), 1u);
  EXPECT_EQ(cannot[0].text, "rank 1: a window is open");
  EXPECT_TRUE(said(0, CannotFrame{"a window is open"}).empty()) << "one is enough";
  wire::Snapshot snapshot;
  snapshot.generation = 7;
  told(snapshot);
  const auto refused =
      sent<wire::Refused>(state.step(SnapshotFailed{7, 1, false, "fd 7 is a pipe"}));
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].text, "rank 1: fd 7 is a pipe");
}

TEST_F(Relay, AVanishedRankIsReportedOnce) {
  quiesced();
  wire::Snapshot snapshot;
  snapshot.generation = 7;
  told(snapshot);
  state.step(SnapshotFailed{7, 1, true, "gone"});
  EXPECT_EQ(sent<wire::RanksGone>(state.step(NewsDue{})).size(), 1u);
  EXPECT_TRUE(state.step(RankClosed{1, "closed its channel"}).empty());
}

TEST_F(Relay, ANewQuiesceEndsAnOldGeneration) {
  quiesced();
  const auto actions = told(wire::Quiesce{8});
  EXPECT_EQ(orders(actions, CKPT_FRAME_RESUME).size(), 2u);
  EXPECT_EQ(orders(actions, CKPT_FRAME_QUIESCE).size(), 2u);
  EXPECT_EQ(state.generation(), 8u);
}

TEST_F(Relay, ShutdownOpensTheDoorsFirst) {
  frozen();
  const auto actions = told(wire::Shutdown{"done"});
  EXPECT_EQ(orders(actions, CKPT_FRAME_RESUME).size(), 2u);
  EXPECT_TRUE(std::holds_alternative<EndAgent>(actions.back()));
}

TEST(ShimFrames, RefusesWrongSizes) {
  EXPECT_FALSE(parse_shim_frame(CKPT_FRAME_HELLO, std::vector<std::uint8_t>(3)));
  EXPECT_FALSE(parse_shim_frame(CKPT_FRAME_QUIESCE, std::vector<std::uint8_t>(8)));
  EXPECT_FALSE(parse_shim_frame(99, {}));
  std::vector<std::uint8_t> list(sizeof(ckpt_list) + 10);
  EXPECT_FALSE(parse_shim_frame(CKPT_FRAME_CLOCKS, list));
  list.resize(sizeof(ckpt_list));
  EXPECT_TRUE(parse_shim_frame(CKPT_FRAME_CLOCKS, list));
}

}  // namespace
}  // namespace ckpt::relay
