// Prints what a generation costs, as a table: README.md.
//
//   scale_simulation                     shapes up to 512 nodes of 128 ranks
//   scale_simulation --largest           4,096 nodes of 128 ranks, each pattern
//   scale_simulation NODES RANKS [PATTERN [SEED]]
//
// The exit status is 0 only if every generation was committed and every rank was
// told to expect what was sent to it.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulation/simulated_cluster.hpp"

namespace ckpt::simulation::scale {
namespace {

bool g_good = true;

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

void print_head() {
  std::puts(
      "| pattern | nodes x ranks | generation | messages up, down | MB up, down "
      "| coordinator: CPU s | MB | busiest node: frames | CPU s | MB |");
  std::puts("|---|---|---|---|---|---|---|---|---|---|");
}

void print(const Shape& shape, const char* generation, const Cost& cost) {
  std::printf(
      "| %s | %d x %d | %s | %llu, %llu | %.1f, %.1f | %.2f | %.0f | %llu | %.3f | %.1f |\n",
      std::string(pattern_name(shape.pattern)).c_str(), shape.nodes, shape.ranks_per_node,
      generation, static_cast<unsigned long long>(cost.up.messages),
      static_cast<unsigned long long>(cost.down.messages), megabytes(cost.up.bytes),
      megabytes(cost.down.bytes), cost.coordinator_seconds, megabytes(cost.coordinator_bytes),
      static_cast<unsigned long long>(cost.busiest_shims.messages), cost.busiest_agent_seconds,
      megabytes(cost.busiest_agent_bytes));
  std::fflush(stdout);
  if (cost.committed) return;
  g_good = false;
  std::puts("not committed");
}

void measure(const Shape& shape) {
  SimulatedCluster cluster(shape);
  print(shape, "(arrival)", cluster.arrive());
  print(shape, "first", cluster.checkpoint(Change::all));
  print(shape, "all channels changed", cluster.checkpoint(Change::all));
  print(shape, "a tenth changed", cluster.checkpoint(Change::tenth));
  print(shape, "none changed", cluster.checkpoint(Change::nothing));
  print(shape, "none changed, every rank raises",
        cluster.checkpoint(Change::nothing, Course::raising));
  if (shape.nodes <= 512) {  // grows with nodes times communicators: README.md
    print(shape, "none changed, communicators half made",
          cluster.checkpoint(Change::nothing, Course::making));
  }
  for (const std::string& fault : cluster.faults()) {
    g_good = false;
    std::puts(fault.c_str());
  }
}

bool pattern_named(std::string_view name, Pattern& pattern) {
  for (int i = 0; i <= static_cast<int>(Pattern::adjacent); ++i) {
    pattern = static_cast<Pattern>(i);
    if (pattern_name(pattern) == name) return true;
  }
  return false;
}

int run(const std::vector<std::string>& words) {
  constexpr Pattern kEach[] = {Pattern::halo6, Pattern::halo26, Pattern::few, Pattern::random};
  if (words.empty()) {
    print_head();
    for (const Pattern pattern : kEach) {
      for (const std::int32_t nodes : {64, 512}) {
        for (const std::int32_t ranks : {16, 128}) measure(Shape{nodes, ranks, pattern});
      }
    }
  } else if (words[0] == "--largest" && words.size() == 1) {
    print_head();
    for (const Pattern pattern : kEach) measure(Shape{4096, 128, pattern});
  } else {
    Shape shape;
    shape.nodes = std::atoi(words[0].c_str());
    shape.ranks_per_node = words.size() > 1 ? std::atoi(words[1].c_str()) : 0;
    if (words.size() > 3) shape.seed = std::strtoull(words[3].c_str(), nullptr, 10);
    const bool known = words.size() < 3 || pattern_named(words[2], shape.pattern);
    if (words.size() > 4 || shape.nodes < 1 || shape.ranks_per_node < 1 || !known) {
      std::fputs("usage: scale_simulation [--largest | NODES RANKS [PATTERN [SEED]]]\n", stderr);
      return 2;
    }
    print_head();
    measure(shape);
  }
  return g_good ? 0 : 1;
}

}  // namespace
}  // namespace ckpt::simulation::scale

int main(int count, char** words) {
  return ckpt::simulation::scale::run({words + 1, words + count});
}
