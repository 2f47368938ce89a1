// Agent: the relay between a node's shims and the coordinator, with its snapshots.
//
// Purpose: feeds RelayState with what sockets and the snapshot worker report and
//   carries out its actions. Ends when the coordinator says so, when neither
//   ranks nor a coordinator are left (solitude.hpp), or by SIGTERM or SIGINT.
//   It ends within seconds also when storage hangs.
// Ownership: owns everything of this process. Threads: run() in one thread; the
//   snapshot worker has its own.
// Errors: what stops it from starting is returned; everything later is logged.
// Source: ARCHITECTURE.md.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "agent/relay/coordinator_link.hpp"
#include "agent/relay/incarnation_watch.hpp"
#include "agent/relay/node_directory.hpp"
#include "agent/relay/relay_state.hpp"
#include "agent/relay/shim_listener.hpp"
#include "agent/relay/snapshot_worker.hpp"
#include "agent/relay/solitude.hpp"

namespace ckpt::relay {

struct AgentOptions {
  std::string job_directory;
  std::string socket_path;
  int lock_fd = -1;         // the node's lock, inherited from a rank; -1: to be taken
  std::string incarnation;  // "JOB-ID:NUMBER"; "": not known, nothing is fenced
  bool skip_descriptors = false;
};

class Agent {
 public:
  Agent(AgentOptions options, EventLog& log);
  Status run();

 private:
  void watch_signals();
  void handle(const Event& event);
  void perform(const ToRank& action);
  void perform(const ToCoordinator& action);
  void perform(const Freeze& action);
  void perform(const Write& action);
  void perform(const DropSnapshot& action);
  void perform(const AnswerHoldUp& action);
  void perform(const EndAgent& action);
  void perform(const CallForNews& action);
  void tick();
  void reassure_ranks();
  void reassure_ranks_later();
  void consider_solitude();
  void coordinator_is(Solitude::Coordinator state);
  void superseded();
  void end(const std::string& reason);

  AgentOptions options_;
  EventLog& log_;
  std::optional<NodeDirectory> node_directory_;  // outlives the socket in it
  boost::asio::io_context io_{1};
  RelayState state_;
  ShimListener shims_;
  std::shared_ptr<CoordinatorLink> coordinator_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer ticker_, solitary_, reassuring_;
  Solitude solitude_{std::chrono::steady_clock::now()};
  bool ending_ = false, held_up_ = false;
  IncarnationWatch incarnation_;
  SnapshotWorker worker_;  // last: its thread reports to the others
};

}  // namespace ckpt::relay
