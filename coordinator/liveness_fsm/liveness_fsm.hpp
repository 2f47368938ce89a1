// Which agents are alive: heartbeats without sockets and clocks.
//
// Purpose: decides when an agent is suspected and when it is lost. A cut network
//   keeps a connection half open for minutes, and mpirun hangs in it: so each
//   agent is asked once a tick, and one that says nothing for kTicksToLose ticks
//   is lost. Whatever an agent says counts as a sign of life.
//   A silent agent does not prove a dead node: it may be stopped or stuck in a
//   system call. What proves one is that not even the node's kernel acknowledges
//   what is sent (the server reads that from the socket and passes it with the
//   tick). Nothing is done to a job whose node still answers.
// Ownership: a value; the server holds one and feeds it. Threads: one caller.
// Units: ticks; the server chooses their length. A coordinator that stood still
//   gets one tick for all that time, so it does not take its own pause for
//   everybody's death.
// Errors: unknown agents are ignored (they have left meanwhile).
// Source: PROTOCOL.md "Liveness"; tcp(7), TCP_INFO.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace ckpt::coordinator {

inline constexpr std::uint32_t kTicksToSuspect = 3;
inline constexpr std::uint32_t kTicksToLose = 10;

struct SendPing {
  std::uint32_t agent = 0;
  std::uint64_t sequence = 0;
};
struct AgentSuspected {
  std::uint32_t agent = 0;
  std::string node;
};
struct AgentRecovered {
  std::uint32_t agent = 0;
  std::string node;
};
struct AgentSilent {  // give its connection up; it is forgotten here
  std::uint32_t agent = 0;
  std::string node;
  bool node_gone = false;  // its kernel answers no more either
};
using LivenessAction = std::variant<SendPing, AgentSuspected, AgentRecovered, AgentSilent>;
using LivenessActions = std::vector<LivenessAction>;

class LivenessFsm {
 public:
  void joined(std::uint32_t agent, std::string node);
  void left(std::uint32_t agent);
  LivenessActions heard(std::uint32_t agent);
  // `answering`: agents whose kernel has acknowledged all that was sent before.
  LivenessActions tick(const std::set<std::uint32_t>& answering);

  // Ticks since it was heard; 0 for one that is not known.
  std::uint32_t silence(std::uint32_t agent) const;
  bool suspected(std::uint32_t agent) const { return silence(agent) >= kTicksToSuspect; }

 private:
  struct Peer {
    std::string node;
    std::uint32_t silent_ticks = 0, unacknowledged_ticks = 0;
  };
  std::map<std::uint32_t, Peer> peers_;
  std::uint64_t sequence_ = 0;
};

}  // namespace ckpt::coordinator
