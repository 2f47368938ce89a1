// From the cut to the commit.
#include <algorithm>
#include <utility>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"

namespace ckpt::coordinator {

// ---- cut and drain

void CheckpointFsm::on(std::uint32_t index, const wire::Sent& message, Actions& actions) {
  AgentState& agent = agents_[index];
  if (state_ != State::cut || agent.done) return nonsense(index, "Sent", actions);
  const auto size = static_cast<std::int32_t>(agent_of_rank_.size());
  bool foreign = false;
  message.channels.for_each([&](const wire::Channel& channel) {
    if (!owns(index, channel.source) || channel.destination < 0 || channel.destination >= size) {
      foreign = true;
    } else {
      agents_[agent_of_rank_[static_cast<std::size_t>(channel.destination)]].expected.add(channel);
    }
  });
  if (foreign) return nonsense(index, "Sent of a foreign rank", actions);
  if (message.more != 0) {
    ++moved_;
  } else if (all_done(agent)) {
    begin_drain(actions);
  }
}

void CheckpointFsm::begin_drain(Actions& actions) {
  enter(State::drain, actions);
  for (AgentState& agent : agents_) {
    const auto send = [&](wire::ChannelList&& part, bool more) {
      actions.push_back(Send{
          agent.who.agent,
          wire::Drain{generation_, more ? std::uint8_t{1} : std::uint8_t{0}, std::move(part)}});
    };
    if (agent.expected.packed().size() > wire::kMaxPart) {
      wire::ChannelList part;
      agent.expected.for_each([&](const wire::Channel& channel) {
        if (part.packed().size() >= wire::kMaxPart) send(std::exchange(part, {}), true);
        part.add(channel);
      });
      agent.expected = std::move(part);
    }
    send(std::exchange(agent.expected, {}), false);
  }
}

void CheckpointFsm::on(std::uint32_t index, const wire::Drained& message, Actions& actions) {
  AgentState& agent = agents_[index];
  if (state_ != State::drain || agent.done) return nonsense(index, "Drained", actions);
  logged_messages_ += message.logged_messages;
  logged_bytes_ += message.logged_bytes;
  if (!all_done(agent)) return;
  enter(State::snapshot, actions);
  for (const AgentState& each : agents_) {
    actions.push_back(OrderSnapshot{each.who.agent, each.who.node, agents_.size() == 1});
  }
}

// ---- snapshot, flush, commit

void CheckpointFsm::on(std::uint32_t index, const wire::Snapped& message, Actions& actions) {
  AgentState& agent = agents_[index];
  if (state_ != State::snapshot || agent.done) return nonsense(index, "Snapped", actions);
  count_bytes(agent, agent.bytes_done, std::max(agent.bytes_total, message.payload_bytes));
  frozen_ns_ = std::max(frozen_ns_, message.frozen_ns);
  if (!all_done(agent)) return;
  enter(State::flush, actions);
  send_all(wire::Resume{generation_}, actions);
  commit_if_all_flushed(actions);
}

void CheckpointFsm::count_bytes(AgentState& agent, std::uint64_t done, std::uint64_t total) {
  bytes_done_ += done - agent.bytes_done;
  bytes_total_ += total - agent.bytes_total;
  agent.bytes_done = done;
  agent.bytes_total = total;
}

void CheckpointFsm::on(std::uint32_t index, const wire::FlushProgress& message, Actions&) {
  AgentState& agent = agents_[index];
  if (message.bytes_done <= agent.bytes_done || agent.flushed) return;
  count_bytes(agent, message.bytes_done, std::max(message.bytes_total, message.bytes_done));
  ++moved_;
}

void CheckpointFsm::on(std::uint32_t index, const wire::Flushed& message, Actions& actions) {
  AgentState& agent = agents_[index];
  const bool in_time = state_ == State::snapshot || state_ == State::flush;
  if (!in_time || agent.flushed) return nonsense(index, "Flushed", actions);
  agent.flushed = true;
  agent.path = message.path;
  count_bytes(agent, message.bytes, message.bytes);
  ++agents_flushed_;
  ++moved_;
  if (state_ == State::flush) commit_if_all_flushed(actions);
}

void CheckpointFsm::commit_if_all_flushed(Actions& actions) {
  if (agents_flushed_ < agents_.size()) return;
  enter(State::commit, actions);
  Commit commit{generation_, {}};
  for (const AgentState& agent : agents_) {
    commit.parts.push_back(
        Part{agent.who.agent, agent.who.node, agent.path, agent.bytes_total, agent.who.ranks});
  }
  actions.push_back(std::move(commit));
}

}  // namespace ckpt::coordinator
