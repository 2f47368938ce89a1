// Who talks to whom in a simulated big job, and how much.
//
// Purpose: ranks on nodes, their point-to-point channels with counts, their
//   communicators with collective clocks; all a function of shape, seed and the
//   moment. Nothing is kept but the lists of peers: half a million ranks fit.
// Ownership: values. Threads: one.
// Units: messages and collectives since the job began.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ckpt::simulation::scale {

enum class Pattern : std::uint8_t {
  halo6,     // 3-D grid, neighbours by faces; ranks in the order of MPI_Cart_create
  halo26,    // and by edges and corners
  few,       // everybody with four ranks that do input and output
  random,    // everybody sends to eight others
  adjacent,  // all pairs of a node; and one's like on the node before and behind
};
std::string_view pattern_name(Pattern pattern);

// What the program has done since the last moment.
enum class Change : std::uint8_t { nothing, tenth, all };
std::string_view change_name(Change change);

struct Shape {
  std::int32_t nodes = 1, ranks_per_node = 1;
  Pattern pattern = Pattern::halo6;
  std::uint64_t seed = 1;
  bool round_robin = false;  // ranks are placed one a node in turn, not node by node
  std::int32_t world() const { return nodes * ranks_per_node; }
};

struct Membership {
  std::uint64_t gid = 0;
  std::uint32_t members = 0;
};

class Traffic {
 public:
  // World, those of the same node, row and column of a 2-D grid of all ranks.
  static constexpr std::size_t kCommunicators = 4, kOfTheNode = 1;

  explicit Traffic(const Shape& shape);

  const Shape& shape() const { return shape_; }
  std::int32_t node_of(std::int32_t rank) const {
    return shape_.round_robin ? rank % shape_.nodes : rank / shape_.ranks_per_node;
  }
  std::vector<std::int32_t> ranks_of(std::int32_t node) const;

  std::span<const std::int32_t> destinations(std::int32_t rank) const { return sends_.of(rank); }
  std::span<const std::int32_t> sources(std::int32_t rank) const { return receives_.of(rank); }

  void advance(Change change) { changes_.push_back(change); }
  std::size_t moment() const { return changes_.size(); }
  std::uint64_t sent(std::int32_t source, std::int32_t destination, std::size_t moment) const;

  std::array<Membership, kCommunicators> communicators(std::int32_t rank) const;
  // Collectives begun now; members differ by up to two.
  std::uint64_t begun(std::uint64_t gid, std::int32_t rank) const;

  // Channels between different nodes, and those of them with news at the moment.
  std::uint64_t crossing() const;
  std::uint64_t crossing_changed() const;

 private:
  struct Lists {
    std::vector<std::uint64_t> begin;  // one more than ranks
    std::vector<std::int32_t> peers;   // ascending for each rank
    std::span<const std::int32_t> of(std::int32_t rank) const {
      const auto at = static_cast<std::size_t>(rank);
      return {peers.data() + begin[at], peers.data() + begin[at + 1]};
    }
  };
  void peers_of(std::int32_t rank, std::vector<std::int32_t>& peers) const;
  void grid_peers(std::int32_t rank, bool corners, std::vector<std::int32_t>& peers) const;
  void add_all_pairs_with_few(std::int32_t rank, std::vector<std::int32_t>& peers) const;
  static Lists inverse(const Lists& lists);
  std::uint64_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c = 0) const;

  Shape shape_;
  std::array<std::int32_t, 3> grid_{};
  std::int32_t columns_ = 1;
  Lists sends_, receives_;
  std::vector<Change> changes_;
};

}  // namespace ckpt::simulation::scale
