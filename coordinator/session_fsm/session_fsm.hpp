// Who is there: agents, ranks, and whether the job can be checkpointed now.
//
// Purpose: keeps the book of ranks joining, leaving, finalizing and rebuilding
//   after a restart, and says when all is ready, or in words why it is not.
// Ownership: a value; the server holds one and feeds it. Threads: one caller.
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
};

// ---- what a step tells
struct AllPresent {};                   // every rank is there and runs
struct RestartComplete {                // every rank said Rebuilt
  std::uint64_t generation = 0;
};
struct RankDeparted {
  std::int32_t rank = 0;
  std::string description;
};
struct RankRejected {
  std::int32_t rank = 0;
  std::string reason;
};
using SessionNews = std::variant<AllPresent, RestartComplete, RankDeparted, RankRejected>;

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
  const std::map<std::int32_t, RankRecord>& ranks() const { return ranks_; }
  const std::map<std::uint32_t, AgentRecord>& agents() const { return agents_; }

 private:
  std::vector<SessionNews> on(std::uint32_t agent, const wire::RankJoined& message);
  std::vector<SessionNews> on(std::uint32_t agent, const wire::RankGone& message);
  std::vector<SessionNews> on(std::uint32_t agent, const wire::Rebuilt& message);
  std::vector<SessionNews> on(std::uint32_t agent, const wire::Finalizing& message);
  RankRecord* find(std::uint32_t agent, std::int32_t rank);
  std::vector<SessionNews> complete();

  std::map<std::uint32_t, AgentRecord> agents_;
  std::map<std::int32_t, RankRecord> ranks_;
  std::int32_t world_size_ = 0;
  std::size_t rebuilding_ = 0, finalizing_ = 0;
  std::uint64_t restarted_from_ = 0;
  bool announced_ = false;      // AllPresent or RestartComplete was told
  bool restart_told_ = false;
  // Who said Rebuilt. A new agent cannot know that its rank has done so before.
  std::map<std::int32_t, std::pair<std::int32_t, std::uint32_t>> rebuilt_;  // rank: pid, epoch
  std::string rejected_;        // why the last rank was kept out
};

}  // namespace ckpt::coordinator
