#include "tests/simulation/traffic.hpp"

#include <algorithm>
#include <cmath>

namespace ckpt::simulation::scale {
namespace {

constexpr std::int32_t kFew = 4;
constexpr int kRandomPeers = 8;

// The divisor of `number` that is nearest to its root of that degree from below.
std::int32_t divisor_near_root(std::int32_t number, double degree) {
  auto best = static_cast<std::int32_t>(std::lround(std::pow(number, 1.0 / degree)));
  best = std::max(best, 1);
  while (number % best != 0) --best;
  return best;
}

}  // namespace

std::string_view pattern_name(Pattern pattern) {
  constexpr std::array<std::string_view, 5> kNames = {"halo6", "halo26", "few", "random",
                                                      "adjacent"};
  return kNames[static_cast<std::size_t>(pattern)];
}

std::string_view change_name(Change change) {
  constexpr std::array<std::string_view, 3> kNames = {"nothing", "tenth", "all"};
  return kNames[static_cast<std::size_t>(change)];
}

Traffic::Traffic(const Shape& shape) : shape_(shape) {
  const std::int32_t world = shape.world();
  grid_[0] = divisor_near_root(world, 3);
  grid_[1] = divisor_near_root(world / grid_[0], 2);
  grid_[2] = world / grid_[0] / grid_[1];
  columns_ = world / divisor_near_root(world, 2);
  std::vector<std::int32_t> peers;
  sends_.begin.push_back(0);
  for (std::int32_t rank = 0; rank < world; ++rank) {
    peers.clear();
    peers_of(rank, peers);
    std::sort(peers.begin(), peers.end());
    peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
    std::erase(peers, rank);
    sends_.peers.insert(sends_.peers.end(), peers.begin(), peers.end());
    sends_.begin.push_back(sends_.peers.size());
  }
  receives_ = inverse(sends_);
}

void Traffic::peers_of(std::int32_t rank, std::vector<std::int32_t>& peers) const {
  const auto world = static_cast<std::uint64_t>(shape_.world());
  switch (shape_.pattern) {
    case Pattern::halo6: return grid_peers(rank, false, peers);
    case Pattern::halo26: return grid_peers(rank, true, peers);
    case Pattern::few: return add_all_pairs_with_few(rank, peers);
    case Pattern::random:
      for (int i = 0; i < kRandomPeers; ++i) {
        peers.push_back(static_cast<std::int32_t>(
            mix(static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(i)) % world));
      }
      return;
    case Pattern::adjacent: {
      for (const std::int32_t other : ranks_of(node_of(rank))) peers.push_back(other);
      const std::int32_t step = shape_.round_robin ? 1 : shape_.ranks_per_node;
      peers.push_back((rank + step) % shape_.world());
      peers.push_back((rank + shape_.world() - step) % shape_.world());
      return;
    }
  }
}

void Traffic::grid_peers(std::int32_t rank, bool corners, std::vector<std::int32_t>& peers) const {
  const std::int32_t x = rank % grid_[2], y = rank / grid_[2] % grid_[1],
                     z = rank / grid_[2] / grid_[1];
  const auto around = [](std::int32_t at, std::int32_t by, std::int32_t size) {
    return (at + by + size) % size;
  };
  for (std::int32_t dz = -1; dz <= 1; ++dz) {
    for (std::int32_t dy = -1; dy <= 1; ++dy) {
      for (std::int32_t dx = -1; dx <= 1; ++dx) {
        if (!corners && std::abs(dx) + std::abs(dy) + std::abs(dz) != 1) continue;
        peers.push_back((around(z, dz, grid_[0]) * grid_[1] + around(y, dy, grid_[1])) * grid_[2] +
                        around(x, dx, grid_[2]));
      }
    }
  }
}

void Traffic::add_all_pairs_with_few(std::int32_t rank, std::vector<std::int32_t>& peers) const {
  const std::int32_t few = std::min(kFew, shape_.world());
  const std::int32_t apart = shape_.world() / few;
  for (std::int32_t i = 0; i < few; ++i) peers.push_back(i * apart);
  if (rank % apart != 0 || rank / apart >= few) return;
  for (std::int32_t other = 0; other < shape_.world(); ++other) peers.push_back(other);
}

Traffic::Lists Traffic::inverse(const Lists& lists) {
  Lists result;
  const std::size_t ranks = lists.begin.size() - 1;
  result.begin.assign(ranks + 1, 0);
  for (const std::int32_t peer : lists.peers) ++result.begin[static_cast<std::size_t>(peer) + 1];
  for (std::size_t i = 0; i < ranks; ++i) result.begin[i + 1] += result.begin[i];
  result.peers.resize(lists.peers.size());
  std::vector<std::uint64_t> next(result.begin.begin(), result.begin.end() - 1);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (const std::int32_t peer : lists.of(static_cast<std::int32_t>(rank))) {
      result.peers[next[static_cast<std::size_t>(peer)]++] = static_cast<std::int32_t>(rank);
    }
  }
  return result;
}

std::vector<std::int32_t> Traffic::ranks_of(std::int32_t node) const {
  std::vector<std::int32_t> ranks;
  for (std::int32_t i = 0; i < shape_.ranks_per_node; ++i) {
    ranks.push_back(shape_.round_robin ? node + i * shape_.nodes
                                       : node * shape_.ranks_per_node + i);
  }
  return ranks;
}

std::uint64_t Traffic::sent(std::int32_t source, std::int32_t destination,
                            std::size_t moment) const {
  const std::uint64_t pair = static_cast<std::uint64_t>(static_cast<std::uint32_t>(source)) << 32 |
                             static_cast<std::uint32_t>(destination);
  std::uint64_t count = 1 + mix(pair, 0) % 100'000;
  for (std::size_t i = 0; i < moment; ++i) {
    const std::uint64_t more = mix(pair, 1 + i);
    const bool changed =
        changes_[i] == Change::all || (changes_[i] == Change::tenth && more % 10 == 0);
    if (changed) count += 1 + more / 10 % 1000;
  }
  return count;
}

std::array<Membership, Traffic::kCommunicators> Traffic::communicators(std::int32_t rank) const {
  const auto named = [this](std::uint64_t kind, std::int32_t number) {
    return mix(kind, static_cast<std::uint64_t>(number), 77) | 2;  // 1 is the world's
  };
  const auto world = static_cast<std::uint32_t>(shape_.world());
  const auto columns = static_cast<std::uint32_t>(columns_);
  return {Membership{1, world},
          Membership{named(1, node_of(rank)), static_cast<std::uint32_t>(shape_.ranks_per_node)},
          Membership{named(2, rank / columns_), columns},
          Membership{named(3, rank % columns_), world / columns}};
}

std::uint64_t Traffic::begun(std::uint64_t gid, std::int32_t rank) const {
  const std::uint64_t behind =
      mix(gid, static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(moment()) + 5) % 3;
  return 10 + mix(gid, 9) % 5000 + 40 * moment() - behind;
}

std::uint64_t Traffic::crossing() const {
  std::uint64_t count = 0;
  for (std::int32_t rank = 0; rank < shape_.world(); ++rank) {
    for (const std::int32_t peer : destinations(rank)) count += node_of(rank) != node_of(peer);
  }
  return count;
}

std::uint64_t Traffic::crossing_changed() const {
  if (moment() == 0) return crossing();
  std::uint64_t count = 0;
  for (std::int32_t rank = 0; rank < shape_.world(); ++rank) {
    for (const std::int32_t peer : destinations(rank)) {
      if (node_of(rank) == node_of(peer)) continue;
      count += sent(rank, peer, moment()) != sent(rank, peer, moment() - 1);
    }
  }
  return count;
}

std::uint64_t Traffic::mix(std::uint64_t a, std::uint64_t b, std::uint64_t c) const {
  std::uint64_t x = a * 0x9e3779b97f4a7c15u ^ (b + shape_.seed) * 0xc2b2ae3d27d4eb4fu ^
                    (c + 1) * 0x165667b19e3779f9u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

}  // namespace ckpt::simulation::scale
