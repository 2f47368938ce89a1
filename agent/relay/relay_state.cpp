#include "agent/relay/relay_state.hpp"

#include <algorithm>

namespace ckpt::relay {

std::vector<Action> RelayState::step(const Event& event) {
  Actions actions;
  std::visit([&](const auto& one) { on(one, actions); }, event);
  // Without a coordinator nobody hears: what it must know it is told at its return.
  if (!coordinator_)
    std::erase_if(actions,
                  [](const Action& action) { return std::holds_alternative<ToCoordinator>(action); });
  return actions;
}

// ---- ranks

void RelayState::on(const RankHello& event, Actions& actions) {
  Rank rank;
  rank.hello = event.hello;
  rank.rebuilding = event.hello.epoch > 0;
  actions.push_back(ToCoordinator{joined(rank)});
  ranks_[event.hello.rank] = rank;
}

wire::RankJoined RelayState::joined(const Rank& rank) {
  wire::RankJoined message;
  message.rank = rank.hello.rank;
  message.world_size = rank.hello.world_size;
  message.pid = rank.hello.pid;
  message.epoch = rank.hello.epoch;
  message.generation = rank.hello.generation;
  message.rebuilding = rank.rebuilding ? 1 : 0;
  return message;
}

void RelayState::on(const RankSaid& event, Actions& actions) {
  if (!ranks_.contains(event.rank)) return;
  std::visit([&](const auto& frame) { said(event.rank, frame, actions); }, event.frame);
}

void RelayState::on(const RankClosed& event, Actions& actions) {
  if (ranks_.erase(event.rank) == 0) return;
  clocks_.erase(event.rank);
  markers_.erase(event.rank);
  actions.push_back(ToCoordinator{wire::RankGone{event.rank, event.how}});
}

void RelayState::said(std::int32_t rank, const ClocksFrame& frame, Actions& actions) {
  // A rank that answers has rebuilt its MPI state; after this agent's start it
  // does not say REBUILT again.
  ranks_[rank].rebuilding = false;
  if (!current(frame.generation) || phase_ != Phase::cutting) return;
  clocks_[rank] = frame.clocks;
  report_clocks_when_all(actions);
}

void RelayState::report_clocks_when_all(Actions& actions) {
  if (clocks_reported_ || clocks_.size() < ranks_.size()) return;
  clocks_reported_ = true;
  std::map<std::uint64_t, wire::Clock> highest;
  wire::Clocks message;
  message.generation = generation_;
  for (const auto& [rank, clocks] : clocks_) {
    message.ranks.push_back(rank);
    for (const ckpt_clock& clock : clocks) {
      wire::Clock& entry = highest[clock.gid];
      entry.gid = clock.gid;
      entry.count = std::max(entry.count, clock.count);
      entry.members = clock.members;
      ++entry.reporters;
    }
  }
  for (const auto& [gid, clock] : highest) message.clocks.push_back(clock);
  actions.push_back(ToCoordinator{std::move(message)});
}

void RelayState::said(std::int32_t rank, const LevelFrame& frame, Actions& actions) {
  if (!current(frame.generation)) return;
  actions.push_back(ToCoordinator{wire::Level{generation_, frame.version, {rank}}});
}

void RelayState::said(std::int32_t rank, const RaiseFrame& frame, Actions& actions) {
  if (!current(frame.generation)) return;
  wire::Raise message;
  message.generation = generation_;
  message.rank = rank;
  for (const ckpt_clock& clock : frame.clocks)
    message.clocks.push_back({clock.gid, clock.count, clock.members, 0});
  actions.push_back(ToCoordinator{std::move(message)});
}

void RelayState::said(std::int32_t rank, const SentFrame& frame, Actions& actions) {
  if (!current(frame.generation) || phase_ != Phase::cutting) return;
  markers_[rank] = frame.markers;
  report_sent_when_all(actions);
}

void RelayState::report_sent_when_all(Actions& actions) {
  if (sent_reported_ || markers_.size() < ranks_.size()) return;
  sent_reported_ = true;
  wire::Sent message;
  message.generation = generation_;
  for (const auto& [rank, markers] : markers_) {
    message.ranks.push_back(rank);
    for (const ckpt_marker& marker : markers)
      message.channels.push_back({rank, marker.peer, marker.count});
  }
  actions.push_back(ToCoordinator{std::move(message)});
}

void RelayState::said(std::int32_t rank, const DrainedFrame& frame, Actions& actions) {
  if (!current(frame.generation)) return;
  ranks_[rank].drained = frame;
  actions.push_back(ToCoordinator{
      wire::Drained{generation_, rank, frame.logged_messages, frame.logged_bytes}});
}

void RelayState::said(std::int32_t rank, const RebuiltFrame& frame, Actions& actions) {
  ranks_[rank].rebuilding = false;
  actions.push_back(ToCoordinator{wire::Rebuilt{rank, frame.generation}});
}

void RelayState::said(std::int32_t rank, const FinalizingFrame&, Actions& actions) {
  ranks_[rank].finalizing = true;
  actions.push_back(ToCoordinator{wire::Finalizing{rank}});
}

void RelayState::said(std::int32_t rank, const CannotFrame& frame, Actions& actions) {
  if (phase_ == Phase::idle) return;
  actions.push_back(ToCoordinator{
      wire::Refused{generation_, rank, "rank " + std::to_string(rank) + ": " + frame.text}});
}

// ---- the coordinator

void RelayState::on(const CoordinatorUp&, Actions& actions) {
  coordinator_ = true;
  for (const auto& [number, rank] : ranks_) {
    actions.push_back(ToCoordinator{joined(rank)});
    if (rank.finalizing) actions.push_back(ToCoordinator{wire::Finalizing{number}});
  }
}

void RelayState::on(const CoordinatorLost&, Actions& actions) {
  coordinator_ = false;
  if (phase_ != Phase::idle) give_up(actions);
}

void RelayState::on(const CoordinatorSaid& event, Actions& actions) {
  std::visit(
      [&](const auto& message) {
        if constexpr (requires { told(message, actions); }) told(message, actions);
      },
      event.message);
}

void RelayState::order_all(ShimOrder order, Actions& actions) const {
  order.generation = generation_;
  for (const auto& [number, rank] : ranks_) actions.push_back(ToRank{number, order});
}

// The generation ends early: all ranks go on, nothing is kept.
void RelayState::give_up(Actions& actions) {
  if (phase_ == Phase::cutting || phase_ == Phase::freezing || phase_ == Phase::frozen)
    order_all({CKPT_FRAME_RESUME}, actions);
  if (phase_ != Phase::cutting) actions.push_back(DropSnapshot{generation_, false});
  phase_ = Phase::idle;
}

void RelayState::told(const wire::Quiesce& message, Actions& actions) {
  if (phase_ != Phase::idle) give_up(actions);
  phase_ = Phase::cutting;
  generation_ = message.generation;
  clocks_.clear();
  markers_.clear();
  clocks_reported_ = sent_reported_ = false;
  for (auto& [number, rank] : ranks_) rank.drained = {};
  order_all({CKPT_FRAME_QUIESCE}, actions);
  report_clocks_when_all(actions);  // a node without ranks
}

void RelayState::told(const wire::Targets& message, Actions& actions) {
  if (!current(message.generation)) return;
  ShimOrder order{CKPT_FRAME_TARGETS};
  order.version = message.version;
  for (const wire::Clock& clock : message.clocks)
    order.clocks.push_back({clock.gid, clock.count, clock.members, 0});
  order_all(order, actions);
}

void RelayState::told(const wire::Release& message, Actions& actions) {
  if (!current(message.generation)) return;
  for (const auto& [number, rank] : ranks_) {
    const bool meant = message.ranks.empty() ||
                       std::find(message.ranks.begin(), message.ranks.end(), number) !=
                           message.ranks.end();
    if (meant) actions.push_back(ToRank{number, {CKPT_FRAME_RELEASE, generation_}});
  }
}

void RelayState::told(const wire::Cut& message, Actions& actions) {
  if (!current(message.generation)) return;
  order_all({CKPT_FRAME_CUT}, actions);
  report_sent_when_all(actions);
}

void RelayState::told(const wire::Drain& message, Actions& actions) {
  if (!current(message.generation)) return;
  std::map<std::int32_t, std::vector<ckpt_marker>> expected;
  for (const wire::Channel& channel : message.channels)
    expected[channel.destination].push_back({channel.source, 0, channel.count});
  for (const auto& [number, rank] : ranks_) {
    ShimOrder order{CKPT_FRAME_DRAIN, generation_};
    order.markers = expected[number];
    actions.push_back(ToRank{number, std::move(order)});
  }
}

void RelayState::told(const wire::Snapshot& message, Actions& actions) {
  if (!current(message.generation) || phase_ != Phase::cutting) return;
  phase_ = Phase::freezing;
  Freeze freeze{message, {}};
  for (const auto& [number, rank] : ranks_)
    freeze.ranks.push_back({number, rank.drained.logged_messages, rank.drained.logged_bytes});
  actions.push_back(std::move(freeze));
}

void RelayState::on(const Frozen& event, Actions& actions) {
  if (!current(event.generation) || phase_ != Phase::freezing) return;
  phase_ = Phase::frozen;
  actions.push_back(
      ToCoordinator{wire::Snapped{generation_, event.frozen_ns, event.payload_bytes}});
}

void RelayState::told(const wire::Resume& message, Actions& actions) {
  if (!current(message.generation) || phase_ != Phase::frozen) return;
  phase_ = Phase::writing;
  order_all({CKPT_FRAME_RESUME}, actions);
  actions.push_back(Write{generation_});
}

void RelayState::on(const WriteProgress& event, Actions& actions) {
  if (phase_ != Phase::writing) return;
  actions.push_back(
      ToCoordinator{wire::FlushProgress{generation_, event.bytes_done, event.bytes_total}});
}

void RelayState::on(const Written& event, Actions& actions) {
  if (!current(event.generation) || phase_ != Phase::writing) return;
  phase_ = Phase::written;
  actions.push_back(ToCoordinator{wire::Flushed{generation_, event.path, event.bytes}});
}

void RelayState::on(const SnapshotFailed& event, Actions& actions) {
  if (!current(event.generation)) return;
  std::string text = event.cause;
  if (event.rank >= 0) text = "rank " + std::to_string(event.rank) + ": " + text;
  // The doors stay closed until the coordinator's Aborted: it answers at once.
  if (event.vanished && ranks_.erase(event.rank) > 0)
    actions.push_back(ToCoordinator{wire::RankGone{event.rank, "its process is gone"}});
  else
    actions.push_back(ToCoordinator{wire::Refused{generation_, event.rank, text}});
}

void RelayState::told(const wire::Committed& message, Actions& actions) {
  if (!current(message.generation)) return;
  actions.push_back(DropSnapshot{generation_, true});
  phase_ = Phase::idle;
}

void RelayState::told(const wire::Aborted& message, Actions& actions) {
  if (current(message.generation)) give_up(actions);
}

void RelayState::told(const wire::HoldUpQuery& message, Actions& actions) {
  actions.push_back(AnswerHoldUp{message});
}

void RelayState::told(const wire::Shutdown& message, Actions& actions) {
  if (phase_ != Phase::idle) give_up(actions);
  actions.push_back(EndAgent{message.reason});
}

}  // namespace ckpt::relay
