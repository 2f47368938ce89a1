#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "mpi_shim/collective_clock.hpp"

namespace ckpt::shim {
namespace {

using Clocks = std::vector<ClockReading>;

ckpt_clock target(std::uint64_t gid, std::uint64_t count) { return {gid, count, 2, 0}; }

TEST(CollectiveTargets, ReportsWhatWasBegun) {
  CollectiveTargets targets;
  const auto report = targets.quiesce(Clocks{{1, 5, 5, 4}, {9, 2, 1, 2}});
  ASSERT_EQ(report.size(), 2u);
  EXPECT_EQ(report[0].gid, 1u);
  EXPECT_EQ(report[0].count, 5u);
  EXPECT_EQ(report[0].members, 4u);
  EXPECT_EQ(report[1].count, 2u);
}

TEST(CollectiveTargets, BeforeTheTargetsAreKnownADoorWaits) {
  CollectiveTargets targets;
  const Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  EXPECT_EQ(targets.at_door(1, 6, clocks, false), AtDoor::wait);
  EXPECT_FALSE(targets.level(clocks));
  EXPECT_FALSE(targets.report_level(clocks));
}

TEST(CollectiveTargets, AReportedCollectiveMayBegin) {
  // Counted, then held up at the door: what was reported is a promise.
  CollectiveTargets targets;
  targets.quiesce(Clocks{{1, 6, 5, 2}});
  EXPECT_EQ(targets.at_door(1, 6, Clocks{{1, 5, 5, 2}}, false), AtDoor::pass);
}

TEST(CollectiveTargets, BehindRunsOnAndLevelWaits) {
  CollectiveTargets targets;
  Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  targets.set_targets(1, std::vector{target(1, 6)});
  EXPECT_EQ(targets.behind(clocks), 1u);
  EXPECT_EQ(targets.at_door(1, 6, clocks, false), AtDoor::pass);
  clocks[0].begun = 6;
  EXPECT_FALSE(targets.level(clocks)) << "inside the collective";
  clocks[0].done = 6;
  EXPECT_EQ(targets.report_level(clocks), std::optional<std::uint64_t>(1));
  EXPECT_EQ(targets.report_level(clocks), std::nullopt) << "reported once";
  EXPECT_EQ(targets.at_door(1, 7, clocks, false), AtDoor::wait);
}

TEST(CollectiveTargets, BehindOnAnotherCommunicatorRaises) {
  CollectiveTargets targets;
  const Clocks clocks = {{1, 5, 5, 2}, {2, 0, 0, 2}};
  targets.quiesce(clocks);
  targets.set_targets(1, std::vector{target(1, 5), target(2, 1)});
  EXPECT_EQ(targets.at_door(1, 6, clocks, false), AtDoor::raise);
  EXPECT_EQ(targets.at_door(1, 6, clocks, false), AtDoor::pass) << "raised already";
}

TEST(CollectiveTargets, ReleaseRaises) {
  CollectiveTargets targets;
  const Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  targets.set_targets(1, std::vector{target(1, 5)});
  EXPECT_EQ(targets.at_door(1, 6, clocks, true), AtDoor::raise);
}

TEST(CollectiveTargets, TargetsNeverFall) {
  CollectiveTargets targets;
  const Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  targets.set_targets(2, std::vector{target(1, 8)});
  targets.set_targets(1, std::vector{target(1, 5)});
  EXPECT_EQ(targets.behind(clocks), 3u);
  targets.set_targets(3, std::vector{target(1, 7)});
  EXPECT_EQ(targets.behind(clocks), 3u);
}

TEST(CollectiveTargets, UnknownCommunicatorsConcernARankOnceItMadeThem) {
  CollectiveTargets targets;
  Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  targets.set_targets(1, std::vector{target(1, 5), target(77, 2)});
  EXPECT_TRUE(targets.level(clocks));
  clocks.push_back({77, 0, 0, 2});
  EXPECT_FALSE(targets.level(clocks));
  EXPECT_EQ(targets.at_door(77, 1, clocks, false), AtDoor::pass);
}

TEST(CollectiveTargets, ACommunicatorMadeMeanwhileHasTargetZero) {
  CollectiveTargets targets;
  Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  targets.set_targets(1, std::vector{target(1, 5)});
  clocks.push_back({50, 0, 0, 2});
  EXPECT_TRUE(targets.level(clocks));
  EXPECT_EQ(targets.at_door(50, 1, clocks, false), AtDoor::wait);
}

TEST(CollectiveTargets, ResumeForgets) {
  CollectiveTargets targets;
  const Clocks clocks = {{1, 5, 5, 2}};
  targets.quiesce(clocks);
  targets.set_targets(9, std::vector{target(1, 9)});
  targets.resume();
  targets.quiesce(clocks);
  targets.set_targets(1, std::vector{target(1, 5)});
  EXPECT_TRUE(targets.level(clocks));
}

// Ranks that do random collectives on overlapping communicators; a collective
// completes when all members have begun it. Whatever the interleaving, all come
// to be level with nobody inside, by the rules of the coordinator.
class Job {
 public:
  explicit Job(unsigned seed) : random_(seed) {
    for (int i = 0; i < 400; ++i) program_.push_back(1 + random_() % kComms);
    for (int rank = 0; rank < kRanks; ++rank)
      for (std::uint64_t gid = 1; gid <= kComms; ++gid)
        if (member(rank, gid)) clocks_[rank].push_back({gid, 0, 0, 2});
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step(static_cast<int>(random_() % kRanks));
  }

  // True when all ranks level with one version.
  bool level(int bound) {
    for (int rank = 0; rank < kRanks; ++rank)
      for (const ckpt_clock& clock : targets_[rank].quiesce(clocks_[rank]))
        wanted_[clock.gid] = std::max(wanted_[clock.gid], clock.count);
    quiescing_ = true;
    send();
    for (int i = 0; i < bound; ++i) {
      step(static_cast<int>(random_() % kRanks));
      if (i % 500 == 499) released_ = true;
      int levelled = 0;
      for (int rank = 0; rank < kRanks; ++rank) levelled += targets_[rank].level(clocks_[rank]);
      if (levelled == kRanks && raised_ == 0) return true;
      if (raised_ > 0) send();
    }
    return false;
  }

  bool nobody_inside() const {
    for (const Clocks& clocks : clocks_)
      for (const ClockReading& clock : clocks)
        if (clock.begun != clock.done || clock.begun != begun_by_all(clock.gid)) return false;
    return true;
  }

 private:
  static constexpr int kRanks = 5;
  static constexpr std::uint64_t kComms = 4;

  static bool member(int rank, std::uint64_t gid) {
    return gid == 1 || (static_cast<std::uint64_t>(rank) + gid) % 3 != 0;
  }
  ClockReading& clock(int rank, std::uint64_t gid) {
    return *std::find_if(clocks_[rank].begin(), clocks_[rank].end(),
                         [gid](const ClockReading& c) { return c.gid == gid; });
  }
  std::uint64_t begun_by_all(std::uint64_t gid) const {
    std::uint64_t least = ~0ull;
    for (int rank = 0; rank < kRanks; ++rank)
      for (const ClockReading& c : clocks_[rank])
        if (c.gid == gid) least = std::min(least, c.begun);
    return least;
  }

  void send() {
    ++version_;
    raised_ = 0;
    std::vector<ckpt_clock> list;
    for (const auto& [gid, count] : wanted_) list.push_back(target(gid, count));
    for (CollectiveTargets& targets : targets_) targets.set_targets(version_, list);
  }

  void step(int rank) {
    if (inside_[rank] != 0) {
      ClockReading& c = clock(rank, inside_[rank]);
      if (begun_by_all(c.gid) < c.begun) return;
      c.done = c.begun;
      inside_[rank] = 0;
      ++place_[rank];
      return;
    }
    while (!member(rank, program_[place_[rank] % program_.size()])) ++place_[rank];
    const std::uint64_t gid = program_[place_[rank] % program_.size()];
    ClockReading& c = clock(rank, gid);
    if (quiescing_) {
      const AtDoor answer =
          targets_[rank].at_door(gid, c.begun + 1, clocks_[rank], std::exchange(released_, false));
      if (answer == AtDoor::wait) return;
      if (answer == AtDoor::raise) {
        wanted_[gid] = std::max(wanted_[gid], c.begun + 1);
        ++raised_;
      }
    }
    ++c.begun;
    inside_[rank] = gid;
  }

  std::mt19937 random_;
  std::vector<std::uint64_t> program_;
  Clocks clocks_[kRanks];
  CollectiveTargets targets_[kRanks];
  std::size_t place_[kRanks] = {};
  std::uint64_t inside_[kRanks] = {};
  std::map<std::uint64_t, std::uint64_t> wanted_;
  std::uint64_t version_ = 0;
  int raised_ = 0;
  bool quiescing_ = false, released_ = false;
};

TEST(CollectiveTargets, AnyInterleavingBecomesLevel) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Job job(seed);
    job.run(static_cast<int>(seed) * 7);
    ASSERT_TRUE(job.level(20000)) << "seed " << seed;
    EXPECT_TRUE(job.nobody_inside()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ckpt::shim
