// Quiesce and level: collective clocks run up to common targets.
#include <algorithm>
#include <utility>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "format/wire/rank_runs.hpp"

namespace ckpt::coordinator {

void CheckpointFsm::on(std::uint32_t index, const wire::Clocks& message, Actions& actions) {
  AgentState& agent = agents_[index];
  if (state_ != State::quiesce || agent.done) return nonsense(index, "Clocks", actions);
  if (message.ranks != wire::to_runs(agent.who.ranks)) {
    return nonsense(index, "Clocks of other ranks than it has", actions);
  }
  for (const wire::Clock& clock : message.clocks) merge(index, clock);
  if (all_done(agent)) begin_level(actions);
}

CheckpointFsm::Merged CheckpointFsm::merge(std::uint32_t index, const wire::Clock& clock) {
  auto [it, fresh] = targets_.try_emplace(clock.gid);
  Target& target = it->second;
  if (fresh) {
    target.clock.gid = clock.gid;
    target.clock.members = clock.members;
  }
  target.clock.reporters += clock.reporters;
  Merged merged{&target, fresh || clock.count > target.clock.count, false};
  if (agents_[index].gids.insert(clock.gid).second) {
    target.agents.push_back(index);
    merged.joined = true;
  }
  target.clock.count = std::max(target.clock.count, clock.count);
  return merged;
}

void CheckpointFsm::begin_level(Actions& actions) {
  enter(State::level, actions);
  for (const auto& [gid, target] : targets_) {
    if (!target.everyone()) {
      for (const std::uint32_t index : target.agents) agents_[index].changed.push_back(gid);
    } else if (target.clock.count > 0) {  // 0 is what all take for granted
      for (AgentState& agent : agents_) agent.changed.push_back(gid);
    }
  }
  ++version_;
  for (std::uint32_t index = 0; index < agents_.size(); ++index) send_targets(index, actions);
}

// The changed targets, under the newest version: the agent is level when it
// says so with that.
void CheckpointFsm::send_targets(std::uint32_t index, Actions& actions) {
  AgentState& agent = agents_[index];
  if (std::exchange(agent.done, false)) --agents_done_;
  agent.targets_version = version_;
  wire::Targets targets{generation_, version_, {}};
  targets.clocks.reserve(agent.changed.size());
  std::sort(agent.changed.begin(), agent.changed.end());
  agent.changed.erase(std::unique(agent.changed.begin(), agent.changed.end()), agent.changed.end());
  for (const std::uint64_t gid : agent.changed) targets.clocks.push_back(targets_.at(gid).clock);
  agent.changed.clear();
  actions.push_back(Send{agent.who.agent, std::move(targets)});
}

void CheckpointFsm::on(std::uint32_t index, const wire::Raise& message, Actions& actions) {
  if (!owns(index, message.rank)) return nonsense(index, "Raise of a foreign rank", actions);
  if (state_ != State::quiesce && state_ != State::level) {
    // It passed a collective that others stopped before: they cannot join it now.
    abort(wire::Verdict::aborted,
          "rank " + std::to_string(message.rank) + " began a collective after it was level",
          actions);
    std::get<Ended>(actions.back()).again = true;
    return;
  }
  ++moved_;
  for (wire::Clock clock : message.clocks) {
    clock.reporters = 0;
    const Merged merged = merge(index, clock);
    if (state_ == State::quiesce) continue;  // the first targets are still to be made
    if (!merged.grown) {
      // The targets that say so are on their way to those who had it already.
      if (merged.joined) raised(index, clock.gid);
    } else if (merged.target->everyone()) {
      for (std::uint32_t agent = 0; agent < agents_.size(); ++agent) raised(agent, clock.gid);
    } else {
      for (const std::uint32_t agent : merged.target->agents) raised(agent, clock.gid);
    }
  }
  if (!concerned_.empty() && !std::exchange(targets_called_, true)) {
    actions.push_back(CallForTargets{});
  }
}

// What it says of older targets does not count any more.
void CheckpointFsm::raised(std::uint32_t index, std::uint64_t gid) {
  AgentState& agent = agents_[index];
  if (agent.changed.empty()) concerned_.push_back(index);
  agent.changed.push_back(gid);
  if (std::exchange(agent.done, false)) --agents_done_;
}

void CheckpointFsm::on_targets_due(Actions& actions) {
  targets_called_ = false;
  const std::vector<std::uint32_t> concerned = std::exchange(concerned_, {});
  if (concerned.empty()) return;
  ++version_;
  for (const std::uint32_t index : concerned) send_targets(index, actions);
}

void CheckpointFsm::on(std::uint32_t index, const wire::Level& message, Actions& actions) {
  AgentState& agent = agents_[index];
  if (state_ != State::level || message.version != agent.targets_version || agent.done) return;
  if (!agent.changed.empty()) return;  // newer ones are due
  if (!all_done(agent)) return;
  enter(State::cut, actions);
  send_all(wire::Cut{generation_}, actions);
}

// Parked ranks pass one collective more: somebody behind waits for a message
// that a parked rank sends later. New targets follow, though none has changed,
// so that a node counts as level only if it says so after it read the release.
void CheckpointFsm::release(Actions& actions) {
  ++releases_;
  ++moved_;
  idle_ticks_ = 0;
  ++version_;
  concerned_.clear();
  for (std::uint32_t index = 0; index < agents_.size(); ++index) {
    agents_[index].released_since = true;
    actions.push_back(Send{agents_[index].who.agent, wire::Release{generation_}});
    send_targets(index, actions);
  }
}

}  // namespace ckpt::coordinator
