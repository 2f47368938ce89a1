// What becomes of a job that ended: each end, each fallback, each report.
#include "coordinator/supervision_fsm/supervision_fsm.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace ckpt::coordinator {
namespace {

constexpr int exited(int code) { return code << 8; }
constexpr int kKilled = 9, kSegv = exited(139);

template <typename T>
std::shared_ptr<T> only(const SupervisionActions& actions) {
  std::shared_ptr<T> found;
  for (const auto& each : actions) {
    if (const auto* it = std::get_if<T>(&each)) {
      EXPECT_EQ(found, nullptr) << "more than one";
      found = std::make_shared<T>(*it);
    }
  }
  return found;
}

AttemptEnded ended(int status, double ran_s, std::vector<std::uint64_t> good = {}) {
  AttemptEnded event;
  event.facts.wait_status = status;
  event.facts.all_present = ran_s > 0;
  event.how = "mpirun ended";
  event.ran_s = event.lasted_s = ran_s;
  event.good = std::move(good);
  return event;
}

TEST(JobEnd, IsToldApart) {
  const auto of = [](int status, bool restarted = false, bool present = true) {
    return classify({status, false, false, restarted, present});
  };
  EXPECT_EQ(of(0), JobEnd::good);
  EXPECT_EQ(of(exited(1)), JobEnd::own_exit);
  EXPECT_EQ(of(exited(127)), JobEnd::own_exit);
  EXPECT_EQ(of(exited(137)), JobEnd::crashed);
  EXPECT_EQ(of(exited(205)), JobEnd::crashed);  // mpirun lost a daemon
  EXPECT_EQ(of(kKilled), JobEnd::mpirun_killed);
  EXPECT_EQ(of(exited(1), true, false), JobEnd::not_restored);
  EXPECT_EQ(of(exited(1), true, true), JobEnd::own_exit);
  EXPECT_EQ(of(exited(1), false, false), JobEnd::own_exit);
  EXPECT_EQ(classify({exited(143), true, true, false, true}), JobEnd::asked);
  EXPECT_EQ(classify({0, false, true, false, true}), JobEnd::node_lost);
}

class SupervisionTest : public ::testing::Test {
 protected:
  explicit SupervisionTest(std::uint64_t restarts = 5) : fsm({restarts, {}}) {}
  SupervisionActions run(std::uint64_t generation, const AttemptEnded& end,
                         std::uint64_t newest = 9) {
    fsm.step(AttemptStarted{generation, newest});
    AttemptEnded event = end;
    event.facts.restarted = generation != 0;
    return fsm.step(event);
  }
  SupervisionFsm fsm;
};

TEST_F(SupervisionTest, AGoodEndIsTheEnd) {
  const auto actions = run(0, ended(0, 100, {3}));
  ASSERT_NE(only<Finish>(actions), nullptr);
  EXPECT_FALSE(only<Finish>(actions)->gave_up);
  EXPECT_TRUE(only<Finish>(actions)->report.empty());
}

TEST_F(SupervisionTest, AnExitOfTheProgramsOwnIsTheEnd) {
  EXPECT_NE(only<Finish>(run(0, ended(exited(3), 100, {3}))), nullptr);
}

TEST_F(SupervisionTest, ACrashGoesOnFromTheNewest) {
  const auto restart = only<Restart>(run(0, ended(kSegv, 100, {3, 2})));
  ASSERT_NE(restart, nullptr);
  EXPECT_EQ(restart->generation, 3u);
  EXPECT_EQ(restart->number, 1u);
  EXPECT_TRUE(fsm.lost_nodes().empty());
}

TEST_F(SupervisionTest, WithoutAGenerationNothingIsBegunAnew) {
  const auto actions = run(0, ended(kSegv, 100));
  ASSERT_NE(only<Finish>(actions), nullptr);
  EXPECT_TRUE(only<Finish>(actions)->gave_up);
  EXPECT_NE(only<Finish>(actions)->report[0].find("no generation is left"), std::string::npos);
}

TEST_F(SupervisionTest, ALostNodeEndsMpirunGentlyThenNot) {
  fsm.step(AttemptStarted{0});
  const auto gentle = fsm.step(NodeLost{"n2", "silent for 20 s", true});
  ASSERT_NE(only<EndMpirun>(gentle), nullptr);
  EXPECT_FALSE(only<EndMpirun>(gentle)->kill);
  EXPECT_TRUE(fsm.step(NodeLost{"n3", "silent for 20 s", true}).empty());
  const auto hard = fsm.step(EndDeadline{});
  ASSERT_NE(only<EndMpirun>(hard), nullptr);
  EXPECT_TRUE(only<EndMpirun>(hard)->kill);
  const auto restart = only<Restart>(fsm.step(ended(kKilled, 50, {7})));
  ASSERT_NE(restart, nullptr);
  EXPECT_EQ(restart->generation, 7u);
  EXPECT_EQ(fsm.lost_nodes(), (std::set<std::string>{"n2", "n3"}));
  EXPECT_NE(restart->reason.find("n2: silent"), std::string::npos);
}

TEST_F(SupervisionTest, ANodeWithoutRanksIsAvoidedAndNoMore) {
  fsm.step(AttemptStarted{0});
  EXPECT_TRUE(fsm.step(NodeLost{"n4", "silent", false}).empty());
  EXPECT_NE(only<Restart>(fsm.step(ended(kSegv, 100, {1}))), nullptr);
  EXPECT_EQ(fsm.lost_nodes().count("n4"), 1u);
}

TEST_F(SupervisionTest, AfterTheEndNothingIsEnded) {
  run(0, ended(0, 1));
  EXPECT_TRUE(fsm.step(NodeLost{"n2", "silent", true}).empty());
  EXPECT_TRUE(fsm.step(EndDeadline{}).empty());
}

TEST_F(SupervisionTest, WhatFailsRightAfterTwiceIsMarkedAndTheOlderOneIsTried) {
  run(0, ended(kSegv, 500, {9, 8}));
  EXPECT_EQ(only<Restart>(run(9, ended(kSegv, 1, {9, 8})))->generation, 9u);
  const auto actions = run(9, ended(kSegv, 1, {9, 8}));
  ASSERT_NE(only<MarkGeneration>(actions), nullptr);
  EXPECT_EQ(only<MarkGeneration>(actions)->generation, 9u);
  EXPECT_EQ(only<Restart>(actions)->generation, 8u);
  run(8, ended(kSegv, 1, {9, 8}));
  const auto last = run(8, ended(kSegv, 1, {9, 8}));
  ASSERT_NE(only<Finish>(last), nullptr);
  EXPECT_TRUE(only<Finish>(last)->gave_up);
  EXPECT_EQ(only<Finish>(last)->report.size(), 1u + 5u);
  EXPECT_NE(only<Finish>(last)->report[2].find("from generation 9, lasted 1.0 s"),
            std::string::npos);
}

TEST_F(SupervisionTest, ProgressClearsAGeneration) {
  run(0, ended(kSegv, 500, {9}));
  run(9, ended(kSegv, 1, {9}));
  EXPECT_EQ(only<MarkGeneration>(run(9, ended(kSegv, 1, {10, 9}))), nullptr);  // it committed
  run(9, ended(kSegv, 1, {9}));
  run(9, ended(kSegv, kQuickFailure_s + 1, {9}));
  EXPECT_EQ(only<MarkGeneration>(run(9, ended(kSegv, 1, {9}))), nullptr);
}

TEST_F(SupervisionTest, ALostNodeIsNotTheGenerationsFault) {
  run(0, ended(kSegv, 500, {9}));
  for (int i = 0; i < 3; ++i) {
    fsm.step(AttemptStarted{9});
    fsm.step(NodeLost{"n" + std::to_string(i), "silent", true});
    const auto actions = fsm.step(ended(kKilled, 1, {9}));
    EXPECT_EQ(only<MarkGeneration>(actions), nullptr);
    EXPECT_EQ(only<Restart>(actions)->generation, 9u);
  }
}

TEST_F(SupervisionTest, ARestartThatCannotBeRestoredIsAFailure) {
  run(0, ended(kSegv, 500, {9, 8}));
  EXPECT_EQ(only<Restart>(run(9, ended(exited(1), 0, {9, 8})))->generation, 9u);
  EXPECT_EQ(only<Restart>(run(9, ended(exited(1), 0, {9, 8})))->generation, 8u);
}

TEST_F(SupervisionTest, GivesUpAfterSoManyRestarts) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(only<Restart>(run(0, ended(kSegv, 500, {9}))), nullptr);
  }
  const auto finish = only<Finish>(run(9, ended(kSegv, 500, {9})));
  ASSERT_NE(finish, nullptr);
  EXPECT_TRUE(finish->gave_up);
  EXPECT_EQ(finish->report[0], "the job is given up: it was restarted 5 times");
}

TEST_F(SupervisionTest, ASignalOfTheUserEndsItAll) {
  auto event = ended(exited(143), 500, {9});
  event.facts.asked = true;
  EXPECT_FALSE(only<Finish>(run(0, event))->gave_up);
}

class SupervisionWithoutRestarts : public SupervisionTest {
 protected:
  SupervisionWithoutRestarts() : SupervisionTest(0) {}
};

TEST_F(SupervisionWithoutRestarts, EveryEndIsTheEndAndSaysNothing) {
  const auto finish = only<Finish>(run(0, ended(kSegv, 500, {9})));
  ASSERT_NE(finish, nullptr);
  EXPECT_FALSE(finish->gave_up);
  EXPECT_TRUE(finish->report.empty());
}

TEST_F(SupervisionWithoutRestarts, AFailureWithALostNodeIsToldApart) {
  const auto end_of = [this](bool lost, int status, bool asked) {
    fsm.step(AttemptStarted{0, 9});
    if (lost) fsm.step(NodeLost{"n2", "it does not answer", true});
    auto event = ended(status, 500, {9});
    event.facts.asked = asked;
    return only<Finish>(fsm.step(event))->node_lost;
  };
  EXPECT_TRUE(end_of(true, exited(1), false));
  EXPECT_TRUE(end_of(true, exited(205), false));
  EXPECT_FALSE(end_of(true, exited(143), true));
  EXPECT_FALSE(end_of(true, 0, false));
  EXPECT_FALSE(end_of(false, exited(205), false)) << "the node of an earlier start";
}

TEST_F(SupervisionWithoutRestarts, ALostNodeIsNoReasonToEndTheJob) {
  fsm.step(AttemptStarted{0});
  EXPECT_TRUE(fsm.step(NodeLost{"n2", "silent", true}).empty());
}

TEST_F(SupervisionWithoutRestarts, DamagedPagesFallBackAllTheSame) {
  auto event = ended(exited(1), 0, {9, 8});
  event.damage = "gen-000009.h5: a block's checksum is wrong";
  const auto restart = only<Restart>(run(9, event));
  ASSERT_NE(restart, nullptr);
  EXPECT_EQ(restart->generation, 8u);
  EXPECT_EQ(restart->number, 0u);
}

// What a restart may go on from, when a start from `from` crashed and `good` are there.
std::optional<std::uint64_t> next_of(Lineage lineage, std::uint64_t from,
                                     std::vector<std::uint64_t> good, int times = 1) {
  SupervisionFsm fsm({9, lineage});
  std::optional<std::uint64_t> next;
  for (int i = 0; i < times; ++i) {
    fsm.step(AttemptStarted{next.value_or(from), good.empty() ? 0 : good.front()});
    auto event = ended(kSegv, 1, good);
    event.facts.restarted = true;
    const auto restart = only<Restart>(fsm.step(event));
    next = restart ? std::optional(restart->generation) : std::nullopt;
  }
  return next;
}

TEST(Supervision, FromANamedGenerationNeitherBackNorIntoThePastItLeft) {
  const Lineage of_5{13, 5, false};
  EXPECT_EQ(next_of(of_5, 5, {12, 6, 5, 4}), 5u);
  EXPECT_EQ(next_of(of_5, 5, {14, 12, 5}), 14u);
  EXPECT_EQ(next_of(of_5, 5, {12, 6, 4}), std::nullopt);
}

TEST(Supervision, FromAnImageItsOwnGenerationsThenTheImage) {
  EXPECT_EQ(next_of({1, 0, true}, 0, {}), 0u);
  EXPECT_EQ(next_of({1, 0, true}, 0, {2, 1}), 2u);
  EXPECT_EQ(next_of({13, 0, true}, 0, {12, 6}), 0u);
}

TEST(Supervision, ANewRunNeverGoesOnFromAnEarlierOne) {
  EXPECT_EQ(next_of({13, 0, false}, 0, {12, 6}), std::nullopt);
  EXPECT_EQ(next_of({13, 0, false}, 0, {13, 12}), 13u);
}

}  // namespace
}  // namespace ckpt::coordinator
