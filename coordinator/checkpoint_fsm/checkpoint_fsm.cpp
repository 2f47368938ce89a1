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
    // In commit as well: storage that hangs must not hold the job's checkpoints
    // for ever. What becomes visible later all the same is whole.
    if (it->entry == entry_) {
      abort(wire::Verdict::timed_out,
            std::string("state ") + state_name(state_) + " took too long: " + awaited_text(),
            actions);
    }
  } else if (std::holds_alternative<Tick>(event)) {
    on_tick(actions);
  } else if (std::holds_alternative<TargetsDue>(event)) {
    on_targets_due(actions);
  } else if (const auto* it = std::get_if<CommitEnded>(&event)) {
    if (state_ != State::commit) return actions;
    if (!it->ok) {
      abort(wire::Verdict::aborted, it->error, actions);
      return actions;
    }
    wire::Committed committed{generation_, agents_.size() == 1 ? agents_[0].path : ""};
    send_all(committed, actions);
    Ended ended{wire::Verdict::committed, generation_, ""};
    ended.bytes = bytes_total_;
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
  constexpr std::uint32_t kNobody = ~std::uint32_t{0};
  agent_of_rank_.assign(static_cast<std::size_t>(std::max(event.world_size, 0)), kNobody);
  agents_.reserve(event.participants.size());
  std::size_t named = 0;
  for (const Participant& participant : event.participants) {
    const auto index = static_cast<std::uint32_t>(agents_.size());
    index_of_agent_[participant.agent] = index;
    agents_.push_back(AgentState{});
    agents_.back().who = participant;
    for (const std::int32_t rank : participant.ranks) {
      if (rank < 0 || rank >= event.world_size) continue;
      std::uint32_t& owner = agent_of_rank_[static_cast<std::size_t>(rank)];
      if (owner == kNobody) ++named;
      owner = index;
    }
  }
  if (named != agent_of_rank_.size() || named == 0) {
    reset();
    actions.push_back(Ended{
        wire::Verdict::not_ready, event.generation,
        std::to_string(named) + " of " + std::to_string(event.world_size) + " ranks are present"});
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
  agents_done_ = 0;
  for (AgentState& agent : agents_) {
    agent.done = false;
    agent.hold_up.reset();
  }
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

void CheckpointFsm::on(std::uint32_t, const wire::RanksGone& message, Actions& actions) {
  if (harmless_now() || message.ranks.empty()) return;
  const wire::GoneRank& first = message.ranks.front();
  abort(wire::Verdict::aborted,
        "rank " + std::to_string(first.rank) + " is gone: " + first.description, actions);
}

// All were there when the generation began: it lost its channel and came back.
void CheckpointFsm::on(std::uint32_t, const wire::RanksJoined& message, Actions& actions) {
  if (harmless_now() || message.ranks.empty()) return;
  abort(wire::Verdict::aborted,
        "rank " + std::to_string(message.ranks.front().rank) + " connected anew", actions);
}

void CheckpointFsm::on(std::uint32_t, const wire::Finalizing& message, Actions& actions) {
  if (harmless_now() || message.ranks.empty()) return;
  abort(wire::Verdict::aborted,
        "rank " + std::to_string(message.ranks.front().first) + " is in MPI_Finalize", actions);
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
        "agent on " + agents_[index].who.node + " sent " + what + " in state " + state_name(state_),
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
  if (state_ == State::flush && bytes_done_ != bytes_told_) {
    // Told here, not at each report: these are as many as there are nodes.
    bytes_told_ = bytes_done_;
    actions.push_back(FlushAdvanced{++entry_, bytes_done_, bytes_total_});
  }
  if (moved_ != moved_at_tick_) {
    moved_at_tick_ = moved_;
    idle_ticks_ = 0;
    return;
  }
  ++idle_ticks_;
  if (state_ == State::level) {
    const bool blocked = std::any_of(agents_.begin(), agents_.end(), [](const AgentState& agent) {
      return !agent.done && agent.hold_up && !agent.released_since && agent.hold_up->blocked > 0;
    });
    if ((blocked && idle_ticks_ >= kTicksBeforeRelease) ||
        idle_ticks_ >= kTicksBeforeBlindRelease) {
      return release(actions);
    }
  }
  if (by_agent()) return;
  ++query_;
  for (const AgentState& agent : agents_) {
    if (agent.done || agent.lost) continue;
    actions.push_back(Send{agent.who.agent, wire::HoldUpQuery{generation_, query_}});
  }
}

void CheckpointFsm::on(std::uint32_t index, const wire::HoldUpAnswer& message, Actions&) {
  if (message.query != query_) return;
  agents_[index].hold_up = message;
  agents_[index].released_since = false;
}

bool CheckpointFsm::by_agent() const {
  return state_ == State::snapshot || state_ == State::flush || state_ == State::commit;
}

bool CheckpointFsm::owns(std::uint32_t index, std::int32_t rank) const {
  return rank >= 0 && static_cast<std::size_t>(rank) < agent_of_rank_.size() &&
         agent_of_rank_[static_cast<std::size_t>(rank)] == index;
}

bool CheckpointFsm::all_done(AgentState& agent) {
  agent.done = true;
  agent.hold_up.reset();
  ++moved_;
  return ++agents_done_ == agents_.size();
}

void CheckpointFsm::send_all(const wire::Message& message, Actions& actions) {
  for (const AgentState& agent : agents_) {
    if (!agent.lost) actions.push_back(Send{agent.who.agent, message});
  }
}

}  // namespace ckpt::coordinator
