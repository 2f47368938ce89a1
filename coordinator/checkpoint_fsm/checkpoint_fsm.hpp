// The state machine of one checkpoint: step(event) -> actions.
//
// Purpose: every decision of a generation, from Quiesce to Committed or
//   Aborted, for any number of agents. No sockets, no clocks, no files: time
//   comes in as Deadline and Tick events, effects go out as actions. States:
//   states.def; the conversation: format/wire/PROTOCOL.md.
// Ownership: a value; the server holds one and feeds it.
// Threads: one caller at a time.
// Units: counts; bytes; the messages of a generation grow with the nodes, its
//   work with the nodes, the communicators each has, and the pairs of ranks on
//   different nodes that communicate (tests/simulation counts both).
// Errors: none to the caller. What an agent sends is checked; what makes no
//   sense aborts the generation with the node and the reason named.
// Source: DESIGN.md section 4, ARCHITECTURE.md "A checkpoint".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "format/wire/messages.hpp"

namespace ckpt::coordinator {

enum class State : std::uint8_t {
#define CKPT_STATE(name, entry, waits_for, next, lost) name,
#include "coordinator/checkpoint_fsm/states.def"
#undef CKPT_STATE
};
const char* state_name(State state);
const char* state_waits_for(State state);

// ---- events

struct Participant {
  std::uint32_t agent = 0;  // number of its connection; never reused
  std::string node;
  std::vector<std::int32_t> ranks;  // at least one, ascending
};
struct Begin {  // state idle only; together the participants have ranks 0 to world_size-1
  std::uint64_t generation = 0;
  std::int32_t world_size = 0;
  std::vector<Participant> participants;
};
struct FromAgent {
  std::uint32_t agent = 0;
  wire::Message message;
};
struct AgentLost {
  std::uint32_t agent = 0;
  std::string reason;
};
struct Deadline {  // the state entered as number `entry` (Entered::entry) took too long
  std::uint64_t entry = 0;
};
struct Tick {};        // some time passed, a fraction of a second
struct TargetsDue {};  // what CallForTargets asked for
struct CommitEnded {
  bool ok = false;
  std::string error;
};
struct AbortRequest {
  std::string reason;
};
using Event = std::variant<Begin, FromAgent, AgentLost, Deadline, Tick, TargetsDue, CommitEnded,
                           AbortRequest>;

// ---- actions, to be carried out in order

struct Send {
  std::uint32_t agent = 0;
  wire::Message message;
};
// Send Snapshot to this agent: the server knows the path and the job's record.
// `only`: no other agent takes part, its file becomes the generation file.
struct OrderSnapshot {
  std::uint32_t agent = 0;
  std::string node;
  bool only = true;
};
struct Entered {
  State state = State::idle;
  std::uint64_t entry = 0;  // for Deadline: arm a new one; the old one is void
};
struct FlushAdvanced {  // at a Tick: arm the deadline of `flush` anew
  std::uint64_t entry = 0;
  std::uint64_t bytes_done = 0, bytes_total = 0;
};
// Feed TargetsDue once what is ready now has been read: what several nodes raise
// at the same time is then one version of the targets.
struct CallForTargets {};
struct Part {
  std::uint32_t agent = 0;
  std::string node, path;
  std::uint64_t bytes = 0;
  std::vector<std::int32_t> ranks;
};
struct Commit {  // make the generation visible, then feed CommitEnded
  std::uint64_t generation = 0;
  std::vector<Part> parts;
};
struct Ended {  // state idle again; last action
  wire::Verdict verdict = wire::Verdict::aborted;
  std::uint64_t generation = 0;
  std::string reason;
  std::uint64_t bytes = 0, frozen_ns = 0, logged_messages = 0, logged_bytes = 0;
  std::uint32_t releases = 0;
  State during = State::idle;  // where it ended
  bool again = false;          // a race of its own making: worth another try at once
};
using Action =
    std::variant<Send, OrderSnapshot, Entered, FlushAdvanced, CallForTargets, Commit, Ended>;
using Actions = std::vector<Action>;

class CheckpointFsm {
 public:
  Actions step(const Event& event);

  State state() const { return state_; }
  std::uint64_t generation() const { return generation_; }
  // What the state waits for now, with ranks and what they are doing, in words.
  std::string awaited_text() const;

 private:
  struct AgentState {
    Participant who;
    std::uint64_t targets_version = 0;       // sent to it last
    std::unordered_set<std::uint64_t> gids;  // it listed, or raised first
    std::vector<std::uint64_t> changed;      // targets to send to it next
    wire::ChannelList expected;              // destination on this node
    bool done = false;                       // with the present state
    bool flushed = false, lost = false;
    std::uint64_t bytes_done = 0, bytes_total = 0;
    std::string path;
    std::optional<wire::HoldUpAnswer> hold_up;  // to the last query
    bool released_since = false;                // then it is for reports alone
  };
  struct Target {
    wire::Clock clock;                  // reporters: members that listed it
    std::vector<std::uint32_t> agents;  // indices of those that have it
    // Some member has not listed it: it is just being made there, and nobody
    // knows on which node. Every agent is told.
    bool everyone() const { return clock.reporters < clock.members; }
  };

  void begin(const Begin& event, Actions& actions);
  void enter(State state, Actions& actions);
  void on_message(std::uint32_t index, const wire::Message& message, Actions& actions);
  void on_agent_lost(std::uint32_t index, const std::string& reason, Actions& actions);
  void on_tick(Actions& actions);

  void on(std::uint32_t index, const wire::Clocks& message, Actions& actions);
  void on(std::uint32_t index, const wire::Level& message, Actions& actions);
  void on(std::uint32_t index, const wire::Raise& message, Actions& actions);
  void on(std::uint32_t index, const wire::Sent& message, Actions& actions);
  void on(std::uint32_t index, const wire::Drained& message, Actions& actions);
  void on(std::uint32_t index, const wire::Snapped& message, Actions& actions);
  void on(std::uint32_t index, const wire::FlushProgress& message, Actions& actions);
  void on(std::uint32_t index, const wire::Flushed& message, Actions& actions);
  void on(std::uint32_t index, const wire::HoldUpAnswer& message, Actions& actions);
  void on(std::uint32_t index, const wire::Refused& message, Actions& actions);
  void on(std::uint32_t index, const wire::RanksGone& message, Actions& actions);
  void on(std::uint32_t index, const wire::RanksJoined& message, Actions& actions);
  void on(std::uint32_t index, const wire::Finalizing& message, Actions& actions);

  void send_all(const wire::Message& message, Actions& actions);
  void send_targets(std::uint32_t index, Actions& actions);
  // Takes a clock into the targets.
  struct Merged {
    Target* target = nullptr;
    bool grown = false;   // the target
    bool joined = false;  // the agent had not been known to have the communicator
  };
  Merged merge(std::uint32_t index, const wire::Clock& clock);
  void begin_level(Actions& actions);
  void raised(std::uint32_t index, std::uint64_t gid);  // the agent must be told
  void on_targets_due(Actions& actions);
  void begin_drain(Actions& actions);
  void commit_if_all_flushed(Actions& actions);
  void count_bytes(AgentState& agent, std::uint64_t done, std::uint64_t total);
  void release(Actions& actions);
  // Marks an agent as done with the state; true: all are.
  bool all_done(AgentState& agent);
  bool owns(std::uint32_t index, std::int32_t rank) const;
  bool harmless_now() const { return state_ == State::flush || state_ == State::commit; }
  void nonsense(std::uint32_t index, const std::string& what, Actions& actions);
  bool by_agent() const;  // the state waits for agents, not for ranks
  void abort(wire::Verdict verdict, std::string reason, Actions& actions);
  void reset();

  State state_ = State::idle;
  std::uint64_t entry_ = 0;  // states entered so far
  std::uint64_t generation_ = 0;
  std::vector<AgentState> agents_;
  std::unordered_map<std::uint32_t, std::uint32_t> index_of_agent_;
  std::vector<std::uint32_t> agent_of_rank_;  // index
  std::size_t agents_done_ = 0, agents_flushed_ = 0;
  std::unordered_map<std::uint64_t, Target> targets_;
  std::uint64_t version_ = 0;             // of the newest targets
  std::vector<std::uint32_t> concerned_;  // agents with targets raised since
  bool targets_called_ = false;
  std::uint64_t query_ = 0;
  std::uint64_t moved_ = 0, moved_at_tick_ = 0;  // messages that changed something
  std::uint32_t idle_ticks_ = 0, releases_ = 0;
  std::uint64_t bytes_done_ = 0, bytes_total_ = 0, bytes_told_ = 0;  // of all agents
  std::uint64_t frozen_ns_ = 0, logged_messages_ = 0, logged_bytes_ = 0;
};

}  // namespace ckpt::coordinator
