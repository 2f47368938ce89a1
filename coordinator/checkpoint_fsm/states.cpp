// Names of the states, and what a checkpoint waits for, in words.
#include <array>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"

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
  std::size_t count = 0;
  const auto add = [&](const std::string& who) {
    if (++count <= kNamed) text += (text.empty() ? "" : "; ") + who;
  };
  const bool by_agent =
      state_ == State::snapshot || state_ == State::flush || state_ == State::commit;
  for (std::uint32_t index = 0; index < agents_.size(); ++index) {
    const AgentState& agent = agents_[index];
    if (by_agent) {
      const bool here = state_ == State::snapshot ? agent.done : agent.flushed;
      if (!here) add("agent on " + agent.who.node);
      continue;
    }
    for (const std::int32_t rank : awaited_ranks(index)) {
      const auto it = activity_.find(rank);
      std::string who = "rank " + std::to_string(rank);
      if (it != activity_.end()) who += " (" + doing(it->second) + ")";
      add(who);
    }
  }
  if (count == 0) return state_waits_for(state_);
  if (count > kNamed) text += "; and " + std::to_string(count - kNamed) + " more";
  return "waits for " + text;
}

}  // namespace ckpt::coordinator
