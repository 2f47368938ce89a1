#include "agent/relay/relay_state.hpp"

#include <algorithm>
#include <utility>

namespace ckpt::relay {

std::vector<Action> RelayState::step(const Event& event) {
  Actions actions;
  std::visit([&](const auto& one) { on(one, actions); }, event);
  // Without a coordinator nobody hears: what it must know it is told at its return.
  if (!coordinator_) {
    drop_news();
    std::erase_if(actions, [](const Action& action) {
      return std::holds_alternative<ToCoordinator>(action);
    });
  }
  tell_news(std::holds_alternative<NewsDue>(event), actions);
  return actions;
}

// ---- ranks

void RelayState::on(const RankHello& event, Actions&) {
  Rank rank;
  rank.hello = event.hello;
  rank.rebuilding = event.hello.epoch > 0;
  news(News::Kind::joined).joined.push_back(joined(rank));
  ranks_[event.hello.rank] = std::move(rank);
}

void RelayState::on(const RankSaid& event, Actions& actions) {
  if (!ranks_.contains(event.rank)) return;
  std::visit([&](const auto& frame) { said(event.rank, frame, actions); }, event.frame);
}

void RelayState::on(const RankClosed& event, Actions&) { forget(event.rank, event.how); }

// Its news aborts a generation that still needs it: nothing is reported without it.
bool RelayState::forget(std::int32_t number, const std::string& how) {
  const auto found = ranks_.find(number);
  if (found == ranks_.end()) return false;
  const Rank& rank = found->second;
  if (awaiting_ != Awaiting::nothing && rank.takes_part && !rank.answered) --unanswered_;
  ranks_.erase(found);
  news(News::Kind::gone).gone.push_back({number, how});
  return true;
}

void RelayState::said(std::int32_t number, const ClocksFrame& frame, Actions& actions) {
  // A rank that answers has rebuilt its MPI state, whatever of it was heard.
  Rank& rank = ranks_[number];
  rank.rebuilding = false;
  if (!current(frame.generation) || awaiting_ != Awaiting::clocks || rank.answered) return;
  rank.gids.clear();
  for (const ckpt_clock& clock : frame.clocks) {
    if (clock.members < 2) continue;  // a collective with oneself concerns nobody else
    rank.gids.push_back(clock.gid);
    wire::Clock& entry = clocks_[clock.gid];
    entry.gid = clock.gid;
    entry.count = std::max(entry.count, clock.count);
    entry.members = clock.members;
    ++entry.reporters;
  }
  std::sort(rank.gids.begin(), rank.gids.end());
  answered(rank, Awaiting::clocks, actions);
}

void RelayState::said(std::int32_t number, const LevelFrame& frame, Actions& actions) {
  if (!current(frame.generation) || frame.version != version_) return;
  answered(ranks_[number], Awaiting::level, actions);
}

// Only what is beyond all that this node knows: where another rank passed the
// same target before, the new one is on its way.
void RelayState::said(std::int32_t rank, const RaiseFrame& frame, Actions&) {
  if (!current(frame.generation)) return;
  for (const ckpt_clock& clock : frame.clocks) {
    if (clock.members < 2) continue;
    wire::Clock& known = clocks_[clock.gid];
    if (clock.count <= known.count) continue;
    known.count = clock.count;
    raised_[clock.gid] = {clock.gid, clock.count, clock.members, 0};
    raised_by_ = rank;
  }
}

void RelayState::said(std::int32_t number, const SentFrame& frame, Actions& actions) {
  Rank& rank = ranks_[number];
  if (!current(frame.generation) || awaiting_ != Awaiting::markers || rank.answered) return;
  rank.sent = frame.markers;
  std::sort(rank.sent.begin(), rank.sent.end(),
            [](const ckpt_marker& a, const ckpt_marker& b) { return a.peer < b.peer; });
  answered(rank, Awaiting::markers, actions);
}

void RelayState::said(std::int32_t number, const DrainedFrame& frame, Actions& actions) {
  if (!current(frame.generation)) return;
  Rank& rank = ranks_[number];
  rank.drained = frame;
  answered(rank, Awaiting::drained, actions);
}

void RelayState::said(std::int32_t rank, const RebuiltFrame& frame, Actions&) {
  ranks_[rank].rebuilding = false;
  news(News::Kind::rebuilt, frame.generation).ranks.push_back(rank);
}

void RelayState::said(std::int32_t rank, const FinalizingFrame&, Actions&) {
  if (std::exchange(ranks_[rank].finalizing, true)) return;
  news(News::Kind::finalizing).ranks.push_back(rank);
}

void RelayState::said(std::int32_t rank, const CannotFrame& frame, Actions& actions) {
  if (phase_ == Phase::idle || std::exchange(refused_, true)) return;
  actions.push_back(ToCoordinator{
      wire::Refused{generation_, rank, "rank " + std::to_string(rank) + ": " + frame.text}});
}

// ---- the coordinator

void RelayState::on(const CoordinatorUp&, Actions& actions) {
  coordinator_ = true;
  drop_news();
  for (const auto& [number, rank] : ranks_) news(News::Kind::joined).joined.push_back(joined(rank));
  for (const auto& [number, rank] : ranks_)
    if (rank.finalizing) news(News::Kind::finalizing).ranks.push_back(number);
  tell_news(true, actions);
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
  if (ranks_held_up()) order_all({CKPT_FRAME_RESUME}, actions);
  if (phase_ != Phase::cutting) actions.push_back(DropSnapshot{generation_, false});
  end_generation();
}

void RelayState::end_generation() {
  phase_ = Phase::idle;
  awaiting_ = Awaiting::nothing;
  clocks_.clear();
  raised_.clear();
  for (auto& [number, rank] : ranks_) {
    Markers().swap(rank.sent);
    Markers().swap(rank.expected);
  }
}

void RelayState::told(const wire::Quiesce& message, Actions& actions) {
  if (phase_ != Phase::idle) give_up(actions);
  phase_ = Phase::cutting;
  generation_ = message.generation;
  version_ = 0;
  refused_ = false;
  clocks_.clear();
  for (auto& [number, rank] : ranks_) {
    rank.takes_part = true;
    rank.drained = {};
  }
  order_all({CKPT_FRAME_QUIESCE}, actions);
  await(Awaiting::clocks, actions);
}

void RelayState::told(const wire::Targets& message, Actions& actions) {
  if (!current(message.generation) || phase_ != Phase::cutting) return;
  version_ = message.version;
  for (const wire::Clock& clock : message.clocks) {
    wire::Clock& known = clocks_[clock.gid];
    known.count = std::max(known.count, clock.count);
  }
  for (const auto& [number, rank] : ranks_) {
    ShimOrder order{CKPT_FRAME_TARGETS, generation_, version_, {}, {}};
    for (const wire::Clock& clock : message.clocks) {
      // One that not all members have listed may be about to be made anywhere.
      const bool meant = clock.reporters < clock.members ||
                         std::binary_search(rank.gids.begin(), rank.gids.end(), clock.gid);
      if (meant) order.clocks.push_back({clock.gid, clock.count, clock.members, 0});
    }
    actions.push_back(ToRank{number, std::move(order)});
  }
  await(Awaiting::level, actions);
}

void RelayState::told(const wire::Release& message, Actions& actions) {
  if (current(message.generation)) order_all({CKPT_FRAME_RELEASE}, actions);
}

void RelayState::told(const wire::Cut& message, Actions& actions) {
  if (!current(message.generation) || phase_ != Phase::cutting) return;
  order_all({CKPT_FRAME_CUT}, actions);
  await(Awaiting::markers, actions);
}

void RelayState::told(const wire::Drain& message, Actions& actions) {
  // Once: a second one would take the channels within the node from the ranks.
  if (!current(message.generation) || awaiting_ != Awaiting::markers || unanswered_ != 0) return;
  message.channels.for_each([&](const wire::Channel& channel) {
    const auto found = ranks_.find(channel.destination);
    if (found != ranks_.end()) found->second.expected.push_back({channel.source, 0, channel.count});
  });
  if (message.more != 0) return;
  for (auto& [number, rank] : ranks_) {
    ShimOrder order{CKPT_FRAME_DRAIN, generation_, 0, {}, {}};
    order.markers.swap(rank.expected);
    actions.push_back(ToRank{number, std::move(order)});
  }
  await(Awaiting::drained, actions);
}

void RelayState::told(const wire::Snapshot& message, Actions& actions) {
  if (!current(message.generation) || phase_ != Phase::cutting) return;
  phase_ = Phase::freezing;
  settle();
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
  if (event.vanished)
    forget(event.rank, "its process is gone");
  else
    actions.push_back(ToCoordinator{wire::Refused{generation_, event.rank, text}});
}

void RelayState::told(const wire::Committed& message, Actions& actions) {
  if (!current(message.generation)) return;
  actions.push_back(DropSnapshot{generation_, true});
  end_generation();
}

void RelayState::told(const wire::Aborted& message, Actions& actions) {
  if (current(message.generation)) give_up(actions);
}

void RelayState::told(const wire::HoldUpQuery& message, Actions& actions) {
  if (!current(message.generation)) return;
  AnswerHoldUp answer{message, {}};
  if (awaiting_ != Awaiting::nothing) {
    for (const auto& [number, rank] : ranks_)
      if (rank.takes_part && !rank.answered) answer.awaited.push_back(number);
  }
  actions.push_back(std::move(answer));
}

void RelayState::told(const wire::Shutdown& message, Actions& actions) {
  if (phase_ != Phase::idle) give_up(actions);
  actions.push_back(EndAgent{message.reason});
}

}  // namespace ckpt::relay
