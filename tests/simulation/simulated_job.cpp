#include "tests/simulation/simulated_job.hpp"

#include <algorithm>

namespace ckpt::simulation {

Program Program::random(std::mt19937_64& random, std::int32_t world_size, int operations) {
  Program program;
  program.world_size = world_size;
  program.of_rank.resize(static_cast<std::size_t>(world_size));
  Communicator world{1, {}};
  for (std::int32_t rank = 0; rank < world_size; ++rank) world.members.push_back(rank);
  program.communicators.push_back(world);
  const std::uint64_t subsets = 1 + random() % 3;
  for (std::uint64_t gid = 2; gid < 2 + subsets; ++gid) {
    Communicator some{gid, {}};
    for (std::int32_t rank = 0; rank < world_size; ++rank) {
      if (random() % 2 == 0) some.members.push_back(rank);
    }
    if (some.members.size() >= 2) program.communicators.push_back(some);
  }
  const auto size = static_cast<std::uint64_t>(world_size);
  for (int i = 0; i < operations; ++i) {
    if (random() % 3 == 0) {
      const Communicator& who = program.communicators[random() % program.communicators.size()];
      for (const std::int32_t rank : who.members) {
        program.of_rank[static_cast<std::size_t>(rank)].push_back(
            {Operation::collective, 0, who.gid, 0});
      }
      continue;
    }
    const auto from = static_cast<std::int32_t>(random() % size);
    const auto to = static_cast<std::int32_t>(random() % size);
    if (from == to) continue;
    const std::uint64_t value = random();
    program.of_rank[static_cast<std::size_t>(from)].push_back({Operation::send, to, 0, value});
    program.of_rank[static_cast<std::size_t>(to)].push_back({Operation::receive, from, 0, value});
  }
  return program;
}

SimulatedJob::SimulatedJob(const Program& program)
    : program_(&program), ranks_(static_cast<std::size_t>(program.world_size)) {}

SimulatedJob::SimulatedJob(const Program& program, const std::vector<SavedRank>& saved)
    : SimulatedJob(program) {
  for (std::size_t i = 0; i < ranks_.size(); ++i) ranks_[i].state = saved[i];
}

std::uint64_t SimulatedJob::begun(const Rank& rank, std::uint64_t gid) const {
  const auto it = rank.state.begun.find(gid);
  return it == rank.state.begun.end() ? 0 : it->second;
}

bool SimulatedJob::level(const Rank& rank) const {
  if (rank.state.inside_collective || rank.released) return false;
  return std::all_of(rank.targets.begin(), rank.targets.end(), [&](const auto& target) {
    return begun(rank, target.first) >= target.second;
  });
}

void SimulatedJob::say_if_level(std::int32_t number) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  if (rank.mode != Mode::quiescing || rank.version == 0 || rank.reported == rank.version) return;
  if (!level(rank)) return;
  rank.reported = rank.version;
  rank.outbox.push_back(relay::LevelFrame{rank.generation, rank.version});
}

bool SimulatedJob::move(std::int32_t number) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  if (rank.gone) return false;
  if (rank.mode == Mode::draining) return drain(number);
  if (rank.state.inside_collective && !leave_collective(number)) return false;
  const auto& program = program_->of_rank[static_cast<std::size_t>(number)];
  say_if_level(number);
  if (rank.mode == Mode::closed || rank.state.position == program.size()) return false;
  const Operation& operation = program[rank.state.position];
  bool moved = false;
  switch (operation.kind) {
    case Operation::send:
      network_[{number, operation.peer}].push_back(operation.value);
      ++rank.state.sent[operation.peer];
      ++rank.state.position;
      moved = true;
      break;
    case Operation::receive: moved = receive(number, operation); break;
    case Operation::collective: moved = begin_collective(number, operation); break;
  }
  if (finished(number) && moved) rank.outbox.push_back(relay::FinalizingFrame{});
  return moved;
}

bool SimulatedJob::receive(std::int32_t number, const Operation& operation) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  std::deque<std::uint64_t>& log = rank.state.log[operation.peer];
  std::deque<std::uint64_t>& channel = network_[{operation.peer, number}];
  const bool logged = !log.empty();
  std::deque<std::uint64_t>& from = logged ? log : channel;
  if (from.empty()) return false;
  if (from.front() != operation.value) {
    fault("rank " + std::to_string(number) + " received what it should not");
  }
  from.pop_front();
  if (!logged) ++rank.state.received[operation.peer];
  ++rank.state.position;
  return true;
}

bool SimulatedJob::begin_collective(std::int32_t number, const Operation& operation) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  const std::uint64_t next = begun(rank, operation.gid) + 1;
  bool raises = false;
  if (rank.mode == Mode::quiescing) {
    const auto target = rank.targets.find(operation.gid);
    raises = next > (target == rank.targets.end() ? 0 : target->second);
    if (raises && !rank.released && level(rank)) {
      rank.parked = true;
      return false;
    }
  }
  rank.parked = rank.released = false;
  rank.state.begun[operation.gid] = next;
  rank.state.inside_collective = true;
  if (raises) {
    rank.targets[operation.gid] = next;
    const auto who = std::find_if(program_->communicators.begin(), program_->communicators.end(),
                                  [&](const auto& each) { return each.gid == operation.gid; });
    rank.outbox.push_back(relay::RaiseFrame{
        rank.generation,
        {{operation.gid, next, static_cast<std::uint32_t>(who->members.size()), 0}}});
  }
  return true;
}

bool SimulatedJob::leave_collective(std::int32_t number) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  const auto& program = program_->of_rank[static_cast<std::size_t>(number)];
  const std::uint64_t gid = program[rank.state.position].gid;
  for (const Communicator& communicator : program_->communicators) {
    if (communicator.gid != gid) continue;
    for (const std::int32_t member : communicator.members) {
      if (begun(ranks_[static_cast<std::size_t>(member)], gid) < begun(rank, gid)) return false;
    }
  }
  rank.state.inside_collective = false;
  ++rank.state.position;
  say_if_level(number);
  if (finished(number)) rank.outbox.push_back(relay::FinalizingFrame{});
  return true;
}

// One message to the log; Drained when all that was expected is there.
bool SimulatedJob::drain(std::int32_t number) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  for (auto& [source, count] : rank.expected) {
    if (rank.state.received[source] >= count) continue;
    std::deque<std::uint64_t>& channel = network_[{source, number}];
    if (channel.empty()) {
      fault("rank " + std::to_string(number) + " expects a message that was never sent");
      return false;
    }
    rank.state.log[source].push_back(channel.front());
    channel.pop_front();
    ++rank.state.received[source];
    return true;
  }
  std::uint64_t logged = 0;
  for (const auto& [source, log] : rank.state.log) logged += log.size();
  rank.mode = Mode::closed;
  rank.outbox.push_back(relay::DrainedFrame{rank.generation, logged, 8 * logged});
  return true;
}

std::vector<ckpt_clock> SimulatedJob::clocks(const Rank& rank, std::int32_t number) const {
  std::vector<ckpt_clock> all;
  for (const Communicator& each : program_->communicators) {
    const auto& members = each.members;
    if (std::find(members.begin(), members.end(), number) == members.end()) continue;
    // A communicator first used later is not listed yet: as one just being made.
    if (begun(rank, each.gid) == 0) continue;
    all.push_back({each.gid, begun(rank, each.gid), static_cast<std::uint32_t>(members.size()), 0});
  }
  return all;
}

void SimulatedJob::quiesce(std::int32_t number, std::uint64_t generation) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  rank.mode = Mode::quiescing;
  rank.generation = generation;
  rank.version = rank.reported = 0;
  rank.released = rank.parked = false;
  rank.targets = rank.state.begun;
  rank.outbox.push_back(relay::ClocksFrame{generation, clocks(rank, number)});
}

void SimulatedJob::set_targets(std::int32_t number, const relay::ShimOrder& order) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  if (rank.mode != Mode::quiescing || order.generation != rank.generation) return;
  for (const Communicator& each : program_->communicators) {
    if (std::find(each.members.begin(), each.members.end(), number) == each.members.end()) continue;
    for (const ckpt_clock& clock : order.clocks) {
      if (clock.gid == each.gid) {
        rank.targets[clock.gid] = std::max(rank.targets[clock.gid], clock.count);
      }
    }
  }
  rank.version = order.version;
  rank.parked = false;  // looks again
  say_if_level(number);
}

void SimulatedJob::tell(std::int32_t number, const relay::ShimOrder& order) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  switch (order.type) {
    case CKPT_FRAME_QUIESCE: return quiesce(number, order.generation);
    case CKPT_FRAME_TARGETS: return set_targets(number, order);
    case CKPT_FRAME_RELEASE: rank.released = rank.parked; return;
    case CKPT_FRAME_CUT: {
      if (rank.state.inside_collective) fault("cut inside a collective");
      rank.mode = Mode::closed;
      relay::SentFrame sent{rank.generation, {}};
      for (const auto& [peer, count] : rank.state.sent) sent.markers.push_back({peer, 0, count});
      rank.outbox.push_back(std::move(sent));
      return;
    }
    case CKPT_FRAME_DRAIN:
      rank.expected.clear();
      for (const ckpt_marker& marker : order.markers) rank.expected[marker.peer] = marker.count;
      rank.mode = Mode::draining;
      return;
    case CKPT_FRAME_RESUME: return resume(number);
    default: fault("frame " + std::to_string(order.type));
  }
}

void SimulatedJob::resume(std::int32_t number) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  rank.mode = Mode::free;
  rank.parked = rank.released = false;
}

void SimulatedJob::end(std::int32_t number) {
  Rank& rank = ranks_[static_cast<std::size_t>(number)];
  rank.gone = true;
  rank.outbox.clear();
}

std::vector<relay::ShimFrame> SimulatedJob::take_outbox(std::int32_t number) {
  std::vector<relay::ShimFrame> out;
  out.swap(ranks_[static_cast<std::size_t>(number)].outbox);
  return out;
}

wire::RankActivity SimulatedJob::activity(std::int32_t number) const {
  const Rank& rank = ranks_[static_cast<std::size_t>(number)];
  wire::RankActivity activity{number};
  if (rank.state.inside_collective) {
    activity.inside = "MPI_Barrier";
  } else if (!finished(number)) {
    const auto& program = program_->of_rank[static_cast<std::size_t>(number)];
    if (program[rank.state.position].kind == Operation::receive) activity.inside = "MPI_Recv";
  }
  return activity;
}

SavedRank SimulatedJob::save(std::int32_t rank) const {
  return ranks_[static_cast<std::size_t>(rank)].state;
}

bool SimulatedJob::finished(std::int32_t number) const {
  const Rank& rank = ranks_[static_cast<std::size_t>(number)];
  return rank.state.position == program_->of_rank[static_cast<std::size_t>(number)].size() &&
         !rank.state.inside_collective;
}

bool SimulatedJob::all_finished() const {
  for (std::int32_t rank = 0; rank < world_size(); ++rank) {
    if (!finished(rank)) return false;
  }
  return true;
}

std::size_t SimulatedJob::in_the_network() const {
  std::size_t count = 0;
  for (const auto& [pair, channel] : network_) count += channel.size();
  return count;
}

}  // namespace ckpt::simulation
