// Quiesce and level: collective clocks run up to common targets.
#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"

#include <algorithm>

namespace ckpt::coordinator {

void CheckpointFsm::on(std::uint32_t index, const wire::Clocks& message, Actions& actions) {
  if (state_ != State::quiesce) return nonsense(index, "Clocks", actions);
  if (!claim(index, message.ranks, "Clocks", actions)) return;
  for (const wire::Clock& clock : message.clocks) merge(index, clock);
  if (ranks_done_ == ranks_.size()) begin_level(actions);
}

// Takes a clock into the targets; true: a target has grown.
bool CheckpointFsm::merge(std::uint32_t index, const wire::Clock& clock) {
  auto [it, fresh] = targets_.try_emplace(clock.gid);
  Target& target = it->second;
  if (fresh) {
    target.clock.gid = clock.gid;
    target.clock.members = clock.members;
  }
  target.clock.reporters += clock.reporters;
  if (std::find(target.agents.begin(), target.agents.end(), index) == target.agents.end()) {
    target.agents.push_back(index);
    agents_[index].gids.push_back(clock.gid);
  }
  if (clock.count <= target.clock.count && !fresh) return false;
  target.clock.count = std::max(target.clock.count, clock.count);
  return true;
}

void CheckpointFsm::begin_level(Actions& actions) {
  enter(State::level, actions);
  // A communicator that some member has not listed is just being made there:
  // every agent is told of it, because it is not known where that member is.
  for (const auto& [gid, target] : targets_) {
    if (target.clock.reporters < target.clock.members) everyones_.push_back(gid);
  }
  ++version_;
  for (std::uint32_t index = 0; index < agents_.size(); ++index) send_targets(index, actions);
}

void CheckpointFsm::send_targets(std::uint32_t index, Actions& actions) {
  AgentState& agent = agents_[index];
  if (agent.level_ranks == agent.who.ranks.size()) --agents_level_;
  agent.targets_version = version_;
  agent.level_ranks = 0;
  wire::Targets targets{generation_, version_, {}};
  const auto add = [&](std::uint64_t gid) {
    wire::Clock clock = targets_.at(gid).clock;
    clock.reporters = 0;
    targets.clocks.push_back(clock);
  };
  for (const std::uint64_t gid : agent.gids) add(gid);
  for (const std::uint64_t gid : everyones_) {
    if (std::find(agent.gids.begin(), agent.gids.end(), gid) == agent.gids.end()) add(gid);
  }
  actions.push_back(Send{agent.who.agent, std::move(targets)});
}

void CheckpointFsm::on(std::uint32_t index, const wire::Raise& message, Actions& actions) {
  if (!owns(index, message.rank)) return nonsense(index, "Raise of a foreign rank", actions);
  if (state_ == State::quiesce) {  // merged before the first targets are made
    for (wire::Clock clock : message.clocks) {
      clock.reporters = 0;
      merge(index, clock);
    }
    ++moved_;
    return;
  }
  if (state_ != State::level) {
    // It passed a collective that others stopped before: they cannot join it now.
    abort(wire::Verdict::aborted,
          "rank " + std::to_string(message.rank) + " began a collective after it was level",
          actions);
    std::get<Ended>(actions.back()).again = true;
    return;
  }
  std::vector<bool> concerned(agents_.size(), false);
  bool grown = false;
  for (wire::Clock clock : message.clocks) {
    const bool known = targets_.count(clock.gid) != 0;
    clock.reporters = 0;
    if (!merge(index, clock)) continue;
    grown = true;
    if (!known) everyones_.push_back(clock.gid);
    const bool everyone =
        std::find(everyones_.begin(), everyones_.end(), clock.gid) != everyones_.end();
    if (everyone) {
      concerned.assign(agents_.size(), true);
    } else {
      for (const std::uint32_t agent : targets_.at(clock.gid).agents) concerned[agent] = true;
    }
  }
  ++moved_;
  if (!grown) return;  // the targets that say so are on their way to it
  ++version_;
  for (std::uint32_t agent = 0; agent < agents_.size(); ++agent) {
    if (concerned[agent]) send_targets(agent, actions);
  }
}

void CheckpointFsm::on(std::uint32_t index, const wire::Level& message, Actions& actions) {
  for (const std::int32_t rank : message.ranks) {
    if (!owns(index, rank)) return nonsense(index, "Level of a foreign rank", actions);
  }
  AgentState& agent = agents_[index];
  if (state_ != State::level || message.version != agent.targets_version) return;
  for (const std::int32_t rank : message.ranks) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    if (state.level_version == message.version) continue;
    state.level_version = message.version;
    if (++agent.level_ranks == agent.who.ranks.size()) ++agents_level_;
    ++moved_;
  }
  enter_if_all_level(actions);
}

void CheckpointFsm::enter_if_all_level(Actions& actions) {
  if (agents_level_ != agents_.size()) return;
  enter(State::cut, actions);
  send_all(wire::Cut{generation_}, actions);
}

// Parked ranks pass one collective more: somebody behind waits for a message
// that a parked rank sends later. The targets go out again with a new version,
// so that a rank counts as level only if it says so after it read the release.
void CheckpointFsm::release(Actions& actions) {
  ++releases_;
  ++moved_;
  idle_ticks_ = 0;
  activity_.clear();
  ++version_;
  for (std::uint32_t index = 0; index < agents_.size(); ++index) {
    AgentState& agent = agents_[index];
    if (agent.level_ranks == 0) continue;
    wire::Release release{generation_, {}};
    if (agent.level_ranks < agent.who.ranks.size()) {
      for (const std::int32_t rank : agent.who.ranks) {
        const RankState& state = ranks_[static_cast<std::size_t>(rank)];
        if (state.level_version == agent.targets_version) release.ranks.push_back(rank);
      }
    }
    actions.push_back(Send{agent.who.agent, std::move(release)});
    send_targets(index, actions);
  }
}

}  // namespace ckpt::coordinator
