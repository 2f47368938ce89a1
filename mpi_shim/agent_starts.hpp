// When a node's agent may be started again.
//
// Purpose: an agent that dies at once, again and again, is given more and more
//   time; one that lived for long is replaced at once. What is remembered lies
//   in the node's lock file, so that all ranks of the node count together.
// Ownership: values. Threads: pure functions. Units: ns of CLOCK_BOOTTIME.
// Errors: none; a record that makes no sense counts as none.
// Source: ARCHITECTURE.md "Agents".
#pragma once

#include <algorithm>
#include <cstdint>

namespace ckpt::shim {

struct AgentStarts {
  static constexpr std::uint64_t kMagic = 0x434b505453545254ull;
  std::uint64_t magic = 0;
  std::uint64_t count = 0;     // agents started so far
  std::uint64_t at_ns = 0;     // the last one
  std::uint64_t pause_ns = 0;  // before the next one, should that die early
};

inline constexpr std::uint64_t kFirstAgentPauseNs = 200'000'000;
inline constexpr std::uint64_t kLongestAgentPauseNs = 30'000'000'000;
inline constexpr std::uint64_t kLongAgentLifeNs = 10'000'000'000;

struct AgentTurn {
  bool start = false;
  std::uint64_t wait_ns = 0;  // where not: ask again then
  AgentStarts next;           // where so: to be remembered
};

// No agent lives now.
inline AgentTurn decide_start(const AgentStarts& before, std::uint64_t now_ns) {
  const AgentStarts first{AgentStarts::kMagic, 1, now_ns, kFirstAgentPauseNs};
  // Another boot's clock may be ahead of this one's.
  const bool known = before.magic == AgentStarts::kMagic && before.at_ns <= now_ns &&
                     before.pause_ns <= kLongestAgentPauseNs;
  if (!known) return {true, 0, first};
  AgentStarts next{AgentStarts::kMagic, before.count + 1, now_ns, kFirstAgentPauseNs};
  const std::uint64_t since = now_ns - before.at_ns;
  // When it died is not known; one that died at once is followed after its pause.
  if (since >= before.pause_ns + kLongAgentLifeNs) return {true, 0, next};
  if (since < before.pause_ns) return {false, before.pause_ns - since, before};
  next.pause_ns = std::min(before.pause_ns * 2, kLongestAgentPauseNs);
  return {true, 0, next};
}

}  // namespace ckpt::shim
