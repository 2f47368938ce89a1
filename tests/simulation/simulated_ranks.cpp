#include "tests/simulation/simulated_ranks.hpp"

#include <algorithm>
#include <cstring>

namespace ckpt::simulation::scale {
namespace {

template <typename T>
Said frame(std::int32_t rank, std::uint32_t type, const T& payload) {
  Said said{rank, type, std::vector<std::uint8_t>(sizeof payload)};
  std::memcpy(said.payload.data(), &payload, sizeof payload);
  return said;
}

template <typename T>
Said list(std::int32_t rank, std::uint32_t type, std::uint64_t generation,
          const std::vector<T>& entries) {
  Said said = frame(rank, type, ckpt_list{generation, generation, entries.size()});
  const std::size_t head = said.payload.size();
  said.payload.resize(head + entries.size() * sizeof(T));
  if (!entries.empty()) {
    std::memcpy(said.payload.data() + head, entries.data(), entries.size() * sizeof(T));
  }
  return said;
}

}  // namespace

SimulatedRanks::SimulatedRanks(const Traffic& traffic)
    : traffic_(&traffic),
      clocks_(static_cast<std::size_t>(traffic.shape().world())),
      raises_(static_cast<std::size_t>(traffic.shape().world())) {}

void SimulatedRanks::begin_generation(Course course) {
  limits_.clear();
  course_ = course;
  std::fill(raises_.begin(), raises_.end(), course == Course::raising ? 1 : 0);
}

ckpt_hello SimulatedRanks::hello(std::int32_t rank) const {
  ckpt_hello hello{};
  hello.version = CKPT_SHIM_CHANNEL_VERSION;
  hello.rank = rank;
  hello.world_size = traffic_->shape().world();
  hello.pid = 1000 + rank;
  return hello;
}

void SimulatedRanks::tell(std::int32_t rank, const relay::ShimOrder& order,
                          std::vector<Said>& answers) {
  switch (order.type) {
    case CKPT_FRAME_QUIESCE: return quiesce(rank, order, answers);
    case CKPT_FRAME_TARGETS: return set_targets(rank, order, answers);
    case CKPT_FRAME_CUT: return cut(rank, order, answers);
    case CKPT_FRAME_DRAIN: return drain(rank, order, answers);
    case CKPT_FRAME_RESUME:
      answers.push_back(frame(rank, CKPT_FRAME_RESUMED, ckpt_generation{order.generation}));
      return;
    default: fault(rank, "was told frame " + std::to_string(order.type));
  }
}

void SimulatedRanks::quiesce(std::int32_t rank, const relay::ShimOrder& order,
                             std::vector<Said>& answers) {
  const auto communicators = traffic_->communicators(rank);
  Clocks& own = clocks_[static_cast<std::size_t>(rank)];
  std::vector<ckpt_clock> report;
  for (std::size_t i = 0; i < own.size(); ++i) {
    own[i] = knows(rank, i) ? traffic_->begun(communicators[i].gid, rank) : 0;
    if (own[i] == 0) continue;
    report.push_back({communicators[i].gid, own[i], communicators[i].members, 0});
    std::uint64_t& limit = limits_[communicators[i].gid];
    limit = std::max(limit, own[i]);
  }
  answers.push_back(list(rank, CKPT_FRAME_CLOCKS, order.generation, report));
}

bool SimulatedRanks::knows(std::int32_t rank, std::size_t communicator) const {
  const bool early = (static_cast<std::uint32_t>(rank) * 2654435761u >> 16) % 2 == 0;
  return course_ != Course::making || communicator == 0 || early;
}

void SimulatedRanks::set_targets(std::int32_t rank, const relay::ShimOrder& order,
                                 std::vector<Said>& answers) {
  const auto communicators = traffic_->communicators(rank);
  const auto at = static_cast<std::size_t>(rank);
  Clocks& own = clocks_[at];
  for (const ckpt_clock& target : order.clocks) {
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (communicators[i].gid == target.gid) own[i] = std::max(own[i], target.count);
    }
  }
  if (raises_[at] != 0) {
    raises_[at] = 0;
    std::vector<ckpt_clock> raised;
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!raised_in(i)) continue;
      raised.push_back({communicators[i].gid, ++own[i], communicators[i].members, 0});
    }
    answers.push_back(list(rank, CKPT_FRAME_RAISE, order.generation, raised));
  }
  answers.push_back(frame(rank, CKPT_FRAME_LEVEL, ckpt_level{order.generation, order.version}));
}

void SimulatedRanks::cut(std::int32_t rank, const relay::ShimOrder& order,
                         std::vector<Said>& answers) {
  const auto communicators = traffic_->communicators(rank);
  const Clocks& own = clocks_[static_cast<std::size_t>(rank)];
  for (std::size_t i = 0; i < own.size(); ++i) {
    const std::uint64_t limit = limits_[communicators[i].gid] + (raised_in(i) ? 1 : 0);
    if (own[i] != limit) {
      fault(rank, "is at " + std::to_string(own[i]) + " of " + std::to_string(limit) +
                      " collectives of communicator " + std::to_string(i));
    }
  }
  std::vector<ckpt_marker> markers;
  for (const std::int32_t peer : traffic_->destinations(rank)) {
    markers.push_back({peer, 0, traffic_->sent(rank, peer, traffic_->moment())});
  }
  answers.push_back(list(rank, CKPT_FRAME_SENT, order.generation, markers));
}

void SimulatedRanks::drain(std::int32_t rank, const relay::ShimOrder& order,
                           std::vector<Said>& answers) {
  std::vector<ckpt_marker> expected = order.markers;
  const auto less = [](const ckpt_marker& a, const ckpt_marker& b) { return a.peer < b.peer; };
  if (!std::is_sorted(expected.begin(), expected.end(), less)) {
    std::sort(expected.begin(), expected.end(), less);
  }
  auto next = expected.begin();
  for (const std::int32_t source : traffic_->sources(rank)) {
    // What is not named has arrived before.
    std::uint64_t told = drained_ ? traffic_->sent(source, rank, drained_at_) : 0;
    if (next != expected.end() && next->peer == source) told = next++->count;
    if (told != traffic_->sent(source, rank, traffic_->moment())) {
      fault(rank,
            "is to expect " + std::to_string(told) + " messages of rank " + std::to_string(source));
    }
  }
  if (next != expected.end()) {
    fault(rank, "is to expect messages of rank " + std::to_string(next->peer));
  }
  answers.push_back(frame(rank, CKPT_FRAME_DRAINED, ckpt_drained{order.generation, 1, 8}));
}

void SimulatedRanks::fault(std::int32_t rank, const std::string& what) {
  constexpr std::size_t kKept = 10;
  if (faults_.size() < kKept) faults_.push_back("rank " + std::to_string(rank) + " " + what);
}

}  // namespace ckpt::simulation::scale
