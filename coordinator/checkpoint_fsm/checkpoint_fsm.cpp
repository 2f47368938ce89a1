#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"

#include <algorithm>

namespace ckpt::coordinator {

Actions CheckpointFsm::step(const Event& event) {
  Actions actions;
  if (const auto* it = std::get_if<Begin>(&event)) {
    if (state_ == State::idle) begin(*it, actions);
    return actions;
  }
  if (state_ == State::idle) return actions;  // what comes late concerns nobody
  if (const auto* it = std::get_if<FromAgent>(&event)) {
    const auto found = index_of_agent_.find(it->agent);
    if (found != index_of_agent_.end()) on_message(found->second, it->message, actions);
  } else if (const auto* it = std::get_if<AgentLost>(&event)) {
    const auto found = index_of_agent_.find(it->agent);
    if (found != index_of_agent_.end()) on_agent_lost(found->second, it->reason, actions);
  } else if (const auto* it = std::get_if<Deadline>(&event)) {
    if (it->entry == entry_ && state_ != State::commit) {
      abort(wire::Verdict::timed_out,
            std::string("state ") + state_name(state_) + " took too long: " + awaited_text(),
            actions);
    }
  } else if (std::holds_alternative<Tick>(event)) {
    on_tick(actions);
  } else if (const auto* it = std::get_if<CommitEnded>(&event)) {
    if (state_ != State::commit) return actions;
    if (!it->ok) {
      abort(wire::Verdict::aborted, it->error, actions);
      return actions;
    }
    wire::Committed committed{generation_, agents_.size() == 1 ? agents_[0].path : ""};
    send_all(committed, actions);
    Ended ended{wire::Verdict::committed, generation_, ""};
    for (const AgentState& agent : agents_) ended.bytes += agent.bytes_total;
    ended.frozen_ns = frozen_ns_;
    ended.logged_messages = logged_messages_;
    ended.logged_bytes = logged_bytes_;
    ended.releases = releases_;
    ended.during = State::commit;
    reset();
    actions.push_back(ended);
  } else if (const auto* it = std::get_if<AbortRequest>(&event)) {
    if (state_ != State::commit) abort(wire::Verdict::aborted, it->reason, actions);
  }
  return actions;
}

void CheckpointFsm::begin(const Begin& event, Actions& actions) {
  reset();
  generation_ = event.generation;
  ranks_.resize(static_cast<std::size_t>(event.world_size));
  std::size_t named = 0;
  for (const Participant& participant : event.participants) {
    const auto index = static_cast<std::uint32_t>(agents_.size());
    index_of_agent_[participant.agent] = index;
    agents_.push_back(AgentState{participant});
    for (const std::int32_t rank : participant.ranks) {
      if (rank < 0 || rank >= event.world_size) continue;
      ranks_[static_cast<std::size_t>(rank)].agent_index = index;
      ++named;
    }
  }
  if (named != ranks_.size() || ranks_.empty()) {
    reset();
    actions.push_back(Ended{wire::Verdict::not_ready, event.generation,
                            std::to_string(named) + " of " + std::to_string(event.world_size) +
                                " ranks are present"});
    return;
  }
  enter(State::quiesce, actions);
  send_all(wire::Quiesce{generation_}, actions);
}

void CheckpointFsm::enter(State state, Actions& actions) {
  state_ = state;
  ++entry_;
  ++moved_;
  idle_ticks_ = 0;
  activity_.clear();
  ranks_done_ = agents_done_ = 0;
  for (RankState& rank : ranks_) rank.done = false;
  for (AgentState& agent : agents_) agent.done = false;
  actions.push_back(Entered{state, entry_});
}

void CheckpointFsm::on_message(std::uint32_t index, const wire::Message& message,
                               Actions& actions) {
  std::visit(
      [&](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (requires { this->on(index, held, actions); }) {
          if constexpr (requires { held.generation; }) {
            if (held.generation != generation_) return;  // crossed with an abort
          }
          on(index, held, actions);
        } else {
          static_cast<void>(sizeof(T));  // not about a generation: the session's business
        }
      },
      message);
}

// ---- what goes wrong

void CheckpointFsm::on(std::uint32_t, const wire::Refused& message, Actions& actions) {
  if (state_ != State::commit) abort(wire::Verdict::refused, message.text, actions);
}

void CheckpointFsm::on(std::uint32_t, const wire::RankGone& message, Actions& actions) {
  if (harmless_now()) return;
  abort(wire::Verdict::aborted,
        "rank " + std::to_string(message.rank) + " is gone: " + message.description, actions);
}

void CheckpointFsm::on(std::uint32_t, const wire::Finalizing& message, Actions& actions) {
  if (harmless_now()) return;
  abort(wire::Verdict::aborted, "rank " + std::to_string(message.rank) + " is in MPI_Finalize",
        actions);
}

void CheckpointFsm::on_agent_lost(std::uint32_t index, const std::string& reason,
                                  Actions& actions) {
  AgentState& agent = agents_[index];
  if (agent.lost) return;
  agent.lost = true;
  if (state_ == State::commit || (state_ == State::flush && agent.flushed)) return;
  abort(wire::Verdict::aborted, "agent on " + agent.who.node + " is gone: " + reason, actions);
}

void CheckpointFsm::nonsense(std::uint32_t index, const std::string& what, Actions& actions) {
  if (state_ == State::commit) return;  // all is on disk: nothing it says matters
  abort(wire::Verdict::aborted,
        "agent on " + agents_[index].who.node + " sent " + what + " in state " +
            state_name(state_),
        actions);
}

void CheckpointFsm::abort(wire::Verdict verdict, std::string reason, Actions& actions) {
  const State during = state_;
  send_all(wire::Aborted{generation_, reason}, actions);
  Ended ended{verdict, generation_, std::move(reason)};
  ended.during = during;
  ended.releases = releases_;
  reset();
  actions.push_back(std::move(ended));
}

void CheckpointFsm::reset() {
  const std::uint64_t entry = entry_, query = query_;
  *this = CheckpointFsm();
  entry_ = entry + 1;  // deadlines armed before are void
  query_ = query;
}

// ---- stalls

void CheckpointFsm::on_tick(Actions& actions) {
  // A few ticks are enough to know that nothing moves; a rank behind that
  // computes will arrive by itself, one blocked in MPI may need a parked one.
  constexpr std::uint32_t kTicksBeforeRelease = 2;
  constexpr std::uint32_t kTicksBeforeBlindRelease = 40;
  if (moved_ != moved_at_tick_) {
    moved_at_tick_ = moved_;
    idle_ticks_ = 0;
    return;
  }
  ++idle_ticks_;
  if (state_ == State::level) {
    const bool blocked = std::any_of(activity_.begin(), activity_.end(),
                                     [](const auto& it) { return !it.second.inside.empty(); });
    if ((blocked && idle_ticks_ >= kTicksBeforeRelease) ||
        idle_ticks_ >= kTicksBeforeBlindRelease) {
      return release(actions);
    }
  }
  if (state_ == State::flush || state_ == State::snapshot || state_ == State::commit) return;
  ++query_;
  for (std::uint32_t index = 0; index < agents_.size(); ++index) {
    std::vector<std::int32_t> ranks = awaited_ranks(index);
    if (ranks.empty()) continue;
    actions.push_back(Send{agents_[index].who.agent,
                           wire::HoldUpQuery{generation_, query_, std::move(ranks)}});
  }
}

void CheckpointFsm::on(std::uint32_t index, const wire::HoldUpAnswer& message, Actions&) {
  if (message.query != query_) return;
  for (const wire::RankActivity& activity : message.ranks) {
    if (owns(index, activity.rank)) activity_[activity.rank] = activity;
  }
}

std::vector<std::int32_t> CheckpointFsm::awaited_ranks(std::uint32_t index) const {
  const AgentState& agent = agents_[index];
  std::vector<std::int32_t> awaited;
  const bool by_level = state_ == State::level;
  if (by_level && agent.level_ranks == agent.who.ranks.size()) return awaited;
  for (const std::int32_t rank : agent.who.ranks) {
    const RankState& state = ranks_[static_cast<std::size_t>(rank)];
    const bool here = by_level ? state.level_version == agent.targets_version : state.done;
    if (!here) awaited.push_back(rank);
  }
  return awaited;
}

bool CheckpointFsm::owns(std::uint32_t index, std::int32_t rank) const {
  return rank >= 0 && static_cast<std::size_t>(rank) < ranks_.size() &&
         ranks_[static_cast<std::size_t>(rank)].agent_index == index;
}

bool CheckpointFsm::claim(std::uint32_t index, const std::vector<std::int32_t>& ranks,
                          const char* what, Actions& actions) {
  for (const std::int32_t rank : ranks) {
    if (!owns(index, rank) || ranks_[static_cast<std::size_t>(rank)].done) {
      nonsense(index, std::string(what) + " of rank " + std::to_string(rank), actions);
      return false;
    }
    ranks_[static_cast<std::size_t>(rank)].done = true;
    ++ranks_done_;
  }
  ++moved_;
  return true;
}

void CheckpointFsm::send_all(const wire::Message& message, Actions& actions) {
  for (const AgentState& agent : agents_) {
    if (!agent.lost) actions.push_back(Send{agent.who.agent, message});
  }
}

}  // namespace ckpt::coordinator
