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
  void frozen() {
    quiesced();
    told(wire::Cut{7});
    said(0, SentFrame{7, {}});
    said(1, SentFrame{7, {}});
    told(wire::Drain{7, {}});
    said(0, DrainedFrame{7, 3, 300});
    said(1, DrainedFrame{7, 0, 0});
    wire::Snapshot snapshot;
    snapshot.generation = 7;
    told(snapshot);
    state.step(Frozen{7, 1000, 4096});
  }
};

TEST_F(Relay, TellsANewCoordinatorWhoIsThere) {
  EXPECT_TRUE(hello(0).empty());  // nobody to tell
  hello(1, 2);
  said(0, FinalizingFrame{});
  const auto actions = state.step(CoordinatorUp{});
  const auto joined = sent<wire::RankJoined>(actions);
  ASSERT_EQ(joined.size(), 2u);
  EXPECT_EQ(joined[0].rebuilding, 0);
  EXPECT_EQ(joined[1].rebuilding, 1);
  EXPECT_EQ(joined[1].epoch, 2u);
  EXPECT_EQ(sent<wire::Finalizing>(actions).size(), 1u);
}

TEST_F(Relay, ARebuiltRankIsNotRebuildingForTheNextCoordinator) {
  state.step(CoordinatorUp{});
  hello(0, 1);
  EXPECT_EQ(sent<wire::Rebuilt>(said(0, RebuiltFrame{5})).size(), 1u);
  state.step(CoordinatorLost{});
  EXPECT_EQ(sent<wire::RankJoined>(state.step(CoordinatorUp{}))[0].rebuilding, 0);
}

TEST_F(Relay, ReportsClocksOfAllRanksAtOnce) {
  quiesced();
  EXPECT_TRUE(said(0, ClocksFrame{7, {{1, 10, 4, 0}, {2, 5, 2, 0}}}).empty());
  const auto reports = sent<wire::Clocks>(said(1, ClocksFrame{7, {{1, 12, 4, 0}}}));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].ranks, (std::vector<std::int32_t>{0, 1}));
  ASSERT_EQ(reports[0].clocks.size(), 2u);
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
  EXPECT_EQ(orders(told(wire::Release{7, {1}}), CKPT_FRAME_RELEASE).size(), 1u);
  EXPECT_EQ(orders(told(wire::Release{7, {}}), CKPT_FRAME_RELEASE).size(), 2u);
}

TEST_F(Relay, GivesEachRankItsMarkers) {
  quiesced();
  told(wire::Cut{7});
  EXPECT_TRUE(said(0, SentFrame{7, {{1, 0, 9}}}).empty());
  const auto reports = sent<wire::Sent>(said(1, SentFrame{7, {}}));
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_EQ(reports[0].channels.size(), 1u);
  EXPECT_EQ(reports[0].channels[0], (wire::Channel{0, 1, 9}));
  const auto drains = orders(told(wire::Drain{7, {{0, 1, 9}, {3, 1, 2}}}), CKPT_FRAME_DRAIN);
  ASSERT_EQ(drains.size(), 2u);
  EXPECT_TRUE(drains[0].order.markers.empty());
  EXPECT_EQ(drains[1].order.markers.size(), 2u);
}

TEST_F(Relay, GoesFromSnapshotToCommit) {
  quiesced();
  told(wire::Cut{7});
  said(0, DrainedFrame{7, 3, 300});
  said(1, DrainedFrame{7, 0, 0});
  wire::Snapshot snapshot;
  snapshot.generation = 7;
  const auto freezes = all<Freeze>(told(snapshot));
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
  EXPECT_EQ(sent<wire::RankGone>(state.step(SnapshotFailed{7, 1, true, "gone"})).size(), 1u);
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
