// Sees to it that an agent runs on this rank's node.
//
// Purpose: called when nobody listens at the agent's socket: makes the node's
//   runtime directory, and starts ckpt-agent unless one lives or another rank
//   is starting one. There is never more than one: it holds a lock in that
//   directory, which it inherits from the rank that started it.
// Ownership: the agent is nobody's: it ends by itself (agent/relay).
// Threads: the shim's thread alone. Units: milliseconds.
// Errors: told on stderr, once for each cause; the job goes on and it is tried
//   again with pauses that grow.
// Source: ARCHITECTURE.md "Agents".
#pragma once

#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::shim {

class AgentStarter {
 public:
  // `environment` is what this run's mpirun gave the rank (after a restart not
  // the program's own). `lowest`: the lock's descriptor is at least this.
  AgentStarter(std::string socket, char* const* environment, int lowest);

  // Nobody listens. Starts an agent if it is this rank's turn; returns after
  // how many milliseconds to look again.
  int nobody_listens();
  // One answered. / It was lost, and why.
  void answered();
  void lost(std::string cause);
  // One took the connection and ended it without a WELCOME: it may do so for ever.
  // Returns after how many milliseconds to try again.
  int refused(const std::string& cause);

 private:
  Result<bool> start_if_due();
  Status start(int lock);
  int next_pause();
  void complain(const std::string& text);

  std::string socket_, directory_, job_directory_;
  std::vector<std::string> environment_;
  int lowest_;
  int pause_ms_ = 0;
  std::uint64_t due_ns_ = 0;  // no agent is started before
  int refusals_ = 0;          // in a row
  std::string lost_cause_;    // why the last one is gone; "": none was
  std::string last_complaint_;
};

// In a child of the program: the lock is the rank's, or the agent's.
void forget_agent_lock_in_child();

}  // namespace ckpt::shim
