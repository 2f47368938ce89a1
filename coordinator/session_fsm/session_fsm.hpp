// Who is there: agents, ranks, and whether the job can be checkpointed now.
//
// Purpose: keeps the book of ranks joining, leaving, finalizing and rebuilding
//   after a restart, and says when all is ready, or in words why it is not.
// Ownership: a value; the server holds one and feeds it. Threads: one caller.
// Units: 40 bytes a rank; a step costs what the ranks it is about cost.
// Errors: a rank that makes no sense (of another world size, out of range) is
//   kept out and named in blocked_by().
// Source: ARCHITECTURE.md "A restart"; PROTOCOL.md "Sessions".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::coordinator {

// More than any MPI job has; a claim beyond it must not cost memory.
inline constexpr std::int32_t kMaxWorldSize = 1 << 24;

enum class RankPhase : std::uint8_t { rebuilding, running, finalizing };
const char* rank_phase_name(RankPhase phase);

struct RankRecord {
  std::uint32_t agent = 0;
  std::int32_t pid = 0;
  std::uint32_t epoch = 0;
  std::uint64_t generation = 0;  // it was restarted from
  RankPhase phase = RankPhase::running;
};

struct AgentRecord {
  std::string node;
  std::int32_t pid = 0;
  std::vector<std::int32_t> ranks;  // that ever joined through it; some may have gone
};

// ---- what a step tells
struct AllPresent {};     // every rank is there and runs
struct RestartComplete {  // every rank said Rebuilt
  std::uint64_t generation = 0;
};
struct RanksDeparted {  // ascending, for one reason
  std::vector<std::int32_t> ranks;
  std::string description;
};
struct RankRejected {
  std::int32_t rank = 0;
  std::string reason;
};
using SessionNews = std::variant<AllPresent, RestartComplete, RanksDeparted, RankRejected>;

class SessionFsm {
 public:
  void agent_joined(std::uint32_t agent, std::string node, std::int32_t pid);
  std::vector<SessionNews> agent_lost(std::uint32_t agent, const std::string& reason);
  // Messages that are not about the session are not its business: no news.
  std::vector<SessionNews> step(std::uint32_t agent, const wire::Message& message);

  // Why no checkpoint can begin now; nullopt: it can.
  std::optional<std::string> blocked_by() const;
  std::vector<Participant> participants() const;

  std::int32_t world_size() const { return world_size_; }  // 0 until a rank joined
  std::uint64_t restarted_from() const { return restarted_from_; }
  std::size_t ranks_present() const { return present_; }
  const RankRecord* rank(std::int32_t number) const;  // nullptr: not there
  const std::map<std::uint32_t, AgentRecord>& agents() const { return agents_; }

 private:
  using News = std::vector<SessionNews>;
  struct Slot {
    RankRecord record;
    bool present = false;
    // Who said Rebuilt. A new agent cannot know that its rank has done so before.
    std::int32_t rebuilt_pid = 0;
    std::uint32_t rebuilt_epoch = 0;
  };

  void on(std::uint32_t agent, const wire::RanksJoined& message, News& news);
  void on(std::uint32_t agent, const wire::RanksGone& message, News& news);
  void on(std::uint32_t agent, const wire::Rebuilt& message, News& news);
  void on(std::uint32_t agent, const wire::Finalizing& message, News& news);
  void joined(std::uint32_t agent, const wire::JoinedRank& rank, News& news);
  bool forget(std::uint32_t agent, std::int32_t rank);  // false: it was not there
  Slot* find(std::uint32_t agent, std::int32_t rank);
  template <typename Chosen>
  std::string ranks_that(Chosen chosen) const;
  void tell_if_complete(News& news);

  std::map<std::uint32_t, AgentRecord> agents_;
  std::vector<Slot> ranks_;  // by rank
  std::int32_t world_size_ = 0;
  std::size_t present_ = 0, rebuilding_ = 0, finalizing_ = 0;
  std::uint64_t restarted_from_ = 0;
  bool announced_ = false;  // AllPresent or RestartComplete was told
  bool restart_told_ = false;
  std::string rejected_;  // why the last rank was kept out
};

}  // namespace ckpt::coordinator
