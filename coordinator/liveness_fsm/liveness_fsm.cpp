#include "coordinator/liveness_fsm/liveness_fsm.hpp"

namespace ckpt::coordinator {

void LivenessFsm::joined(std::uint32_t agent, std::string node) {
  peers_[agent] = Peer{std::move(node), 0, 0};
}

void LivenessFsm::left(std::uint32_t agent) { peers_.erase(agent); }

LivenessActions LivenessFsm::heard(std::uint32_t agent) {
  LivenessActions actions;
  const auto it = peers_.find(agent);
  if (it == peers_.end()) return actions;
  if (it->second.silent_ticks >= kTicksToSuspect) {
    actions.emplace_back(AgentRecovered{agent, it->second.node});
  }
  it->second.silent_ticks = it->second.unacknowledged_ticks = 0;
  return actions;
}

LivenessActions LivenessFsm::tick(const std::set<std::uint32_t>& answering) {
  LivenessActions actions;
  ++sequence_;
  for (auto it = peers_.begin(); it != peers_.end();) {
    const std::uint32_t agent = it->first;
    Peer& peer = it->second;
    ++peer.silent_ticks;
    peer.unacknowledged_ticks = answering.count(agent) != 0 ? 0 : peer.unacknowledged_ticks + 1;
    if (peer.silent_ticks >= kTicksToLose) {
      // The kernel must have been silent for as long as it takes to suspect
      // anybody: one lost packet at the last moment is no dead node.
      const bool gone = peer.unacknowledged_ticks >= kTicksToSuspect;
      actions.emplace_back(AgentSilent{agent, peer.node, gone});
      it = peers_.erase(it);
      continue;
    }
    if (peer.silent_ticks == kTicksToSuspect) {
      actions.emplace_back(AgentSuspected{agent, peer.node});
    }
    actions.emplace_back(SendPing{agent, sequence_});
    ++it;
  }
  return actions;
}

std::uint32_t LivenessFsm::silence(std::uint32_t agent) const {
  const auto it = peers_.find(agent);
  return it == peers_.end() ? 0 : it->second.silent_ticks;
}

}  // namespace ckpt::coordinator
