// Names of the states, and what a checkpoint waits for, in words.
#include <algorithm>
#include <array>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "format/wire/rank_runs.hpp"

namespace ckpt::coordinator {
namespace {

constexpr std::array kNames = {
#define CKPT_STATE(name, entry, waits_for, next, lost) #name,
#include "coordinator/checkpoint_fsm/states.def"
#undef CKPT_STATE
};
constexpr std::array kWaitsFor = {
#define CKPT_STATE(name, entry, waits_for, next, lost) waits_for,
#include "coordinator/checkpoint_fsm/states.def"
#undef CKPT_STATE
};

std::string doing(const wire::RankActivity& activity) {
  std::string text;
  if (!activity.inside.empty()) {
    text = "in " + activity.inside;
  } else {
    text = activity.threads_inside > 0 ? "in MPI" : "outside MPI";
  }
  const auto add = [&text](std::uint64_t count, const char* what) {
    if (count > 0) text += ", " + std::to_string(count) + " " + what;
  };
  add(activity.collectives_behind, "collectives behind");
  add(activity.messages_expected, "messages to come");
  return text;
}

}  // namespace

const char* state_name(State state) { return kNames[static_cast<std::size_t>(state)]; }
const char* state_waits_for(State state) { return kWaitsFor[static_cast<std::size_t>(state)]; }

std::string CheckpointFsm::awaited_text() const {
  constexpr std::size_t kNamed = 4;  // more would not fit a line
  std::string text;
  std::size_t named = 0, count = 0;
  const auto add = [&](const std::string& who, std::size_t as_many) {
    count += as_many;
    if (named >= kNamed) return;
    named += as_many;
    text += (text.empty() ? "" : "; ") + who;
  };
  for (const AgentState& agent : agents_) {
    if (by_agent()) {
      const bool here = state_ == State::snapshot ? agent.done : agent.flushed;
      if (!here) add("agent on " + agent.who.node, 1);
    } else if (!agent.done && !agent.hold_up) {
      const bool one = agent.who.ranks.size() == 1;
      add((one ? "rank " : "ranks ") + wire::rank_list(agent.who.ranks) + " on " + agent.who.node,
          agent.who.ranks.size());
    } else if (!agent.done) {
      for (const wire::RankActivity& activity : agent.hold_up->ranks) {
        add("rank " + std::to_string(activity.rank) + " (" + doing(activity) + ")", 1);
      }
      const std::size_t listed = agent.hold_up->ranks.size();
      count += agent.hold_up->awaited - std::min<std::size_t>(agent.hold_up->awaited, listed);
    }
  }
  if (count == 0) return state_waits_for(state_);
  if (count > named) text += "; and " + std::to_string(count - named) + " more";
  return "waits for " + text;
}

}  // namespace ckpt::coordinator
