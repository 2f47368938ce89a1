// From the cut to the commit.
#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"

#include <algorithm>

namespace ckpt::coordinator {

// ---- cut and drain

void CheckpointFsm::on(std::uint32_t index, const wire::Sent& message, Actions& actions) {
  if (state_ != State::cut) return nonsense(index, "Sent", actions);
  const auto size = static_cast<std::int32_t>(ranks_.size());
  for (const wire::Channel& channel : message.channels) {
    if (!owns(index, channel.source) || channel.destination < 0 || channel.destination >= size) {
      return nonsense(index, "Sent of a foreign rank", actions);
    }
  }
  if (!claim(index, message.ranks, "Sent", actions)) return;
  for (const wire::Channel& channel : message.channels) {
    const RankState& receiver = ranks_[static_cast<std::size_t>(channel.destination)];
    agents_[receiver.agent_index].expected.push_back(channel);
  }
  if (ranks_done_ == ranks_.size()) begin_drain(actions);
}

void CheckpointFsm::begin_drain(Actions& actions) {
  enter(State::drain, actions);
  for (AgentState& agent : agents_) {
    std::sort(agent.expected.begin(), agent.expected.end(),
              [](const wire::Channel& a, const wire::Channel& b) {
                return std::pair(a.destination, a.source) < std::pair(b.destination, b.source);
              });
    actions.push_back(
        Send{agent.who.agent, wire::Drain{generation_, std::move(agent.expected)}});
    agent.expected.clear();
  }
}

void CheckpointFsm::on(std::uint32_t index, const wire::Drained& message, Actions& actions) {
  if (state_ != State::drain) return nonsense(index, "Drained", actions);
  if (!claim(index, {message.rank}, "Drained", actions)) return;
  logged_messages_ += message.logged_messages;
  logged_bytes_ += message.logged_bytes;
  if (ranks_done_ < ranks_.size()) return;
  enter(State::snapshot, actions);
  for (const AgentState& agent : agents_) {
    actions.push_back(OrderSnapshot{agent.who.agent, agent.who.node, agents_.size() == 1});
  }
}

// ---- snapshot, flush, commit

void CheckpointFsm::on(std::uint32_t index, const wire::Snapped& message, Actions& actions) {
  AgentState& agent = agents_[index];
  if (state_ != State::snapshot || agent.done) return nonsense(index, "Snapped", actions);
  agent.done = true;
  agent.bytes_total = std::max(agent.bytes_total, message.payload_bytes);
  frozen_ns_ = std::max(frozen_ns_, message.frozen_ns);
  ++moved_;
  if (++agents_done_ < agents_.size()) return;
  enter(State::flush, actions);
  send_all(wire::Resume{generation_}, actions);
  commit_if_all_flushed(actions);
}

void CheckpointFsm::on(std::uint32_t index, const wire::FlushProgress& message,
                       Actions& actions) {
  AgentState& agent = agents_[index];
  if (message.bytes_done <= agent.bytes_done || agent.flushed) return;
  agent.bytes_done = message.bytes_done;
  agent.bytes_total = std::max(message.bytes_total, message.bytes_done);
  ++moved_;
  if (state_ != State::flush) return;
  FlushAdvanced advanced{++entry_};
  for (const AgentState& each : agents_) {
    advanced.bytes_done += each.bytes_done;
    advanced.bytes_total += each.bytes_total;
  }
  actions.push_back(advanced);
}

void CheckpointFsm::on(std::uint32_t index, const wire::Flushed& message, Actions& actions) {
  AgentState& agent = agents_[index];
  const bool in_time = state_ == State::snapshot || state_ == State::flush;
  if (!in_time || agent.flushed) return nonsense(index, "Flushed", actions);
  agent.flushed = true;
  agent.path = message.path;
  agent.bytes_done = agent.bytes_total = message.bytes;
  ++agents_flushed_;
  ++moved_;
  if (state_ == State::flush) commit_if_all_flushed(actions);
}

void CheckpointFsm::commit_if_all_flushed(Actions& actions) {
  if (agents_flushed_ < agents_.size()) return;
  enter(State::commit, actions);
  Commit commit{generation_, {}};
  for (const AgentState& agent : agents_) {
    commit.parts.push_back(Part{agent.who.agent, agent.who.node, agent.path, agent.bytes_total,
                                agent.who.ranks});
  }
  actions.push_back(std::move(commit));
}

}  // namespace ckpt::coordinator
