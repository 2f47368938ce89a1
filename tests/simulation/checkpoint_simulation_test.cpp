// The step functions of coordinator and agents, the wire codec, the term, and the
// real sweep and commit, against simulated ranks in thousands of random schedules:
// frames of different connections overtake each other, and what can fail does, at
// any point. What must hold: world.hpp. How often what happened is asserted, so
// that the schedules are not too tame.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/simulation/world.hpp"

namespace ckpt::simulation {
namespace {

constexpr const char* kStates[] = {"idle",  "quiesce",  "level", "cut",
                                   "drain", "snapshot", "flush", "commit"};

class CheckpointSimulation : public ::testing::Test {
 protected:
  void SetUp() override {
    const bool memory = std::filesystem::exists("/dev/shm");
    std::string path = std::string(memory ? "/dev/shm" : "/tmp") + "/ckpt-simulation-XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    base_ = path;
    auto made = coordinator::JobDirectory::create(linux_file_system(), base_ + "/job");
    ASSERT_TRUE(made) << made.error().message();
    directory_.emplace(*made);
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  Tally run(const Faults& faults, std::uint64_t schedules) {
    Tally all;
    for (std::uint64_t seed = first_seed(); seed < first_seed() + schedules; ++seed) {
      World world(seed, faults, *directory_);
      world.run();
      all.add(world.tally());
      for (const std::string& text : world.faults())
        ADD_FAILURE() << "seed " << seed << ": " << text;
      if (HasFailure()) break;
    }
    return all;
  }

  // Other schedules: CKPT_SEED=100000.
  static std::uint64_t first_seed() {
    const char* given = std::getenv("CKPT_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  }

  static void expect_in_each_state(Tally& tally, const std::string& failure) {
    for (const char* state : kStates) {
      EXPECT_GT(tally.happened[failure][state], 0) << failure << ": never in " << state;
    }
  }

  std::string base_;
  std::optional<coordinator::JobDirectory> directory_;
};

TEST_F(CheckpointSimulation, EveryCutIsConsistentAndNothingNeedsADeadline) {
  const Tally tally = run({}, 800);
  EXPECT_GT(tally.commits, 500);
  EXPECT_GT(tally.releases, 0);
  EXPECT_GT(tally.joined_requests, 500) << "whoever asks twice gets one generation";
}

TEST_F(CheckpointSimulation, AgentsMayDieAtAnyPoint) {
  Faults faults;
  faults.agents = 6;
  Tally tally = run(faults, 1200);
  EXPECT_GT(tally.commits, 300);
  expect_in_each_state(tally, "agent dies");
  for (const char* state : {"quiesce", "level", "cut", "drain", "snapshot", "flush"}) {
    EXPECT_GT(tally.aborted_in[state], 0) << "no death in " << state;
  }
}

// Both ends live: each learns of it in its own time, the agent comes back while
// the coordinator still holds, and reads, the old connection.
TEST_F(CheckpointSimulation, ConnectionsMayBeCutAtAnyPoint) {
  Faults faults;
  faults.links = 8;
  Tally tally = run(faults, 1500);
  EXPECT_GT(tally.commits, 300);
  EXPECT_GT(tally.old_frames, 20) << "of the old connection, behind the new hello";
  EXPECT_GT(tally.lost_by_silence, 100);
  expect_in_each_state(tally, "connection is cut");
  expect_in_each_state(tally, "connection is silent");
}

TEST_F(CheckpointSimulation, NodesMayDieForGoodAtAnyPoint) {
  Faults faults;
  faults.nodes = 1;
  Tally tally = run(faults, 1500);
  EXPECT_GT(tally.refused, 500);
  expect_in_each_state(tally, "node dies");
}

TEST_F(CheckpointSimulation, CoordinatorsMayDieAtAnyPoint) {
  Faults faults;
  faults.coordinators = 5;
  faults.operations = 200;
  Tally tally = run(faults, 1500);
  EXPECT_GT(tally.commits, 300);
  expect_in_each_state(tally, "coordinator dies");
  EXPECT_GT(tally.happened["coordinator dies"]["sweeping"], 0);
}

TEST_F(CheckpointSimulation, AnotherCoordinatorMayTakeOverAtAnyPoint) {
  Faults faults;
  faults.usurpers = 4;
  faults.operations = 400;
  Tally tally = run(faults, 2000);
  EXPECT_GT(tally.commits, 300);
  EXPECT_GT(tally.superseded, 300);
  expect_in_each_state(tally, "another takes over");
}

TEST_F(CheckpointSimulation, AllOfItAtOnce) {
  const Faults faults{3, 4, 1, 3, 3, 0, 300};
  Tally tally = run(faults, 3000);
  EXPECT_GT(tally.commits, 300);
  for (const char* failure : {"agent dies", "connection is cut", "connection is silent",
                              "node dies", "coordinator dies", "another takes over"}) {
    expect_in_each_state(tally, failure);
  }
}

// TCP does not do that, but nothing but TCP's word stands against it.
TEST_F(CheckpointSimulation, FramesMayComeTwice) {
  Faults faults;
  faults.duplicates = 10;
  Tally tally = run(faults, 800);
  EXPECT_GT(tally.commits, 300);
  for (const char* state : {"quiesce", "level", "cut", "drain", "snapshot", "flush"}) {
    EXPECT_GT(tally.happened["frame comes twice"][state], 0) << state;
  }
}

}  // namespace
}  // namespace ckpt::simulation
