// What a generation costs, by counts alone: how it grows with nodes, ranks and
// communicating pairs. The cut stays right meanwhile (SimulatedRanks checks it).
#include <gtest/gtest.h>

#include <string>

#include "tests/simulation/simulated_cluster.hpp"

namespace ckpt::simulation::scale {
namespace {

// Agents and coordinator say these, once each: Quiesce, Targets, Cut, Drain,
// Snapshot, Resume, Committed; Clocks, Level, Sent, Drained, Snapped,
// FlushProgress, Flushed.
constexpr std::uint64_t kMessagesOfANode = 7;

struct Costs {
  Cost first, all, tenth, nothing, raised, made;
  std::uint64_t crossing = 0, crossing_tenth = 0;
};

Costs measure(const Shape& shape) {
  SCOPED_TRACE(std::string(pattern_name(shape.pattern)) + " on " + std::to_string(shape.nodes) +
               " nodes of " + std::to_string(shape.ranks_per_node));
  SimulatedCluster cluster(shape);
  Costs costs;
  EXPECT_TRUE(cluster.arrive().committed) << "not all are there";
  costs.crossing = cluster.traffic().crossing();
  costs.first = cluster.checkpoint(Change::all);
  costs.all = cluster.checkpoint(Change::all);
  costs.tenth = cluster.checkpoint(Change::tenth);
  costs.crossing_tenth = cluster.traffic().crossing_changed();
  costs.nothing = cluster.checkpoint(Change::nothing);
  costs.raised = cluster.checkpoint(Change::nothing, Course::raising);
  costs.made = cluster.checkpoint(Change::nothing, Course::making);
  for (const Cost& cost :
       {costs.first, costs.all, costs.tenth, costs.nothing, costs.raised, costs.made}) {
    EXPECT_TRUE(cost.committed);
  }
  for (const std::string& fault : cluster.faults()) ADD_FAILURE() << fault;
  return costs;
}

std::uint64_t bytes(const Cost& cost, const char* kind) {
  const auto found = cost.kinds.find(kind);
  return found == cost.kinds.end() ? 0 : found->second.bytes;
}

// Twice as much in, at most a little more than twice as much out.
void expect_doubled(const Cost& twice, const Cost& once) {
  const auto at_most_doubled = [](std::uint64_t more, std::uint64_t less, const char* what) {
    EXPECT_LE(static_cast<double>(more), 2.3 * static_cast<double>(less)) << what;
  };
  at_most_doubled(twice.up.messages, once.up.messages, "messages to the coordinator");
  at_most_doubled(twice.down.messages, once.down.messages, "messages of the coordinator");
  at_most_doubled(twice.up.bytes, once.up.bytes, "bytes to the coordinator");
  at_most_doubled(twice.down.bytes, once.down.bytes, "bytes of the coordinator");
  at_most_doubled(twice.coordinator_bytes, once.coordinator_bytes, "the coordinator's memory");
  at_most_doubled(twice.coordinator_blocks, once.coordinator_blocks, "the coordinator's blocks");
  at_most_doubled(twice.busiest_shims.messages, once.busiest_shims.messages, "frames of a node");
}

constexpr Pattern kEach[] = {Pattern::halo6, Pattern::halo26, Pattern::few, Pattern::random,
                             Pattern::adjacent};

TEST(ScaleGrowth, MessagesAreAsManyAsNodes) {
  for (const Pattern pattern : kEach) {
    for (const std::int32_t ranks : {1, 4, 8, 16}) {
      for (const bool round_robin : {false, true}) {
        const Costs costs = measure(Shape{32, ranks, pattern, 1, round_robin});
        for (const Cost& cost : {costs.first, costs.all, costs.tenth, costs.nothing}) {
          EXPECT_EQ(cost.up.messages, 32 * kMessagesOfANode);
          EXPECT_EQ(cost.down.messages, 32 * kMessagesOfANode);
        }
      }
    }
  }
}

TEST(ScaleGrowth, TwiceTheNodesAreTwiceTheCost) {
  for (const Pattern pattern : kEach) {
    SCOPED_TRACE(pattern_name(pattern));
    const Costs once = measure(Shape{64, 8, pattern}), twice = measure(Shape{128, 8, pattern});
    EXPECT_EQ(twice.first.up.messages, 2 * once.first.up.messages);
    EXPECT_EQ(twice.first.down.messages, 2 * once.first.down.messages);
    if (pattern == Pattern::few) continue;  // its busiest node grows with the job
    expect_doubled(twice.first, once.first);
    expect_doubled(twice.all, once.all);
    expect_doubled(twice.nothing, once.nothing);
    expect_doubled(twice.raised, once.raised);
  }
}

TEST(ScaleGrowth, TwiceTheRanksOfANodeAreNeverFourTimesTheCost) {
  for (const Pattern pattern : kEach) {
    SCOPED_TRACE(pattern_name(pattern));
    const Costs once = measure(Shape{64, 8, pattern}), twice = measure(Shape{64, 16, pattern});
    expect_doubled(twice.first, once.first);
    expect_doubled(twice.all, once.all);
    expect_doubled(twice.nothing, once.nothing);
    expect_doubled(twice.raised, once.raised);
  }
}

TEST(ScaleGrowth, BytesOfTheMarkersGrowWithPairsOnDifferentNodes) {
  for (const Pattern pattern : kEach) {
    const Costs costs = measure(Shape{64, 16, pattern});
    const std::uint64_t heads = 64 * 30;
    for (const char* kind : {"Sent", "Drain"}) {
      SCOPED_TRACE(std::string(pattern_name(pattern)) + " " + kind);
      EXPECT_GE(bytes(costs.first, kind), 4 * costs.crossing);
      EXPECT_LE(bytes(costs.first, kind), heads + 8 * costs.crossing);
      EXPECT_LE(bytes(costs.all, kind), heads + 8 * costs.crossing);
      EXPECT_LE(bytes(costs.tenth, kind), heads + 8 * costs.crossing_tenth);
      EXPECT_LE(bytes(costs.nothing, kind), heads) << "what has not changed stays on its node";
    }
    EXPECT_GT(costs.crossing_tenth, costs.crossing / 12);
    EXPECT_LT(costs.crossing_tenth, costs.crossing / 8);
  }
}

// All pairs within a node, 16 times as many, cost the coordinator nothing.
TEST(ScaleGrowth, PairsOfANodeStayThere) {
  const Costs few = measure(Shape{32, 8, Pattern::adjacent});
  const Costs many = measure(Shape{32, 32, Pattern::adjacent});
  EXPECT_LE(bytes(many.first, "Sent"), 5 * bytes(few.first, "Sent"));
  EXPECT_LE(many.first.coordinator_bytes, 5 * few.first.coordinator_bytes);
}

}  // namespace
}  // namespace ckpt::simulation::scale
