// Agent: the relay between a node's shims and the coordinator, with its snapshots.
//
// Purpose: feeds RelayState with what sockets and the snapshot worker report and
//   carries out its actions. Ends when the coordinator says so, when the parent
//   (`ckpt-coord run`) is gone, or by SIGTERM or SIGINT.
// Ownership: owns everything of this process. Threads: run() in one thread; the
//   snapshot worker has its own.
// Errors: what stops it from starting is returned; everything later is logged.
// Source: ARCHITECTURE.md.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "agent/relay/coordinator_link.hpp"
#include "agent/relay/relay_state.hpp"
#include "agent/relay/shim_listener.hpp"
#include "agent/relay/snapshot_worker.hpp"

namespace ckpt::relay {

struct AgentOptions {
  std::string job_directory;
  std::string socket_path;
  int parent_pid = 0;   // 0: none to watch
  int ready_fd = -1;    // "ready\n" is written to it when the socket listens
  bool skip_descriptors = false;
};

class Agent {
 public:
  Agent(AgentOptions options, EventLog& log);
  Status run();

 private:
  Status watch_parent();
  Status report_ready();
  void watch_signals();
  void handle(const Event& event);
  void perform(const ToRank& action);
  void perform(const ToCoordinator& action);
  void perform(const Freeze& action);
  void perform(const Write& action);
  void perform(const DropSnapshot& action);
  void perform(const AnswerHoldUp& action);
  void perform(const EndAgent& action);
  void tick();
  void end(const std::string& reason);

  AgentOptions options_;
  EventLog& log_;
  boost::asio::io_context io_{1};
  RelayState state_;
  ShimListener shims_;
  std::shared_ptr<CoordinatorLink> coordinator_;
  boost::asio::signal_set signals_;
  boost::asio::posix::stream_descriptor parent_;
  boost::asio::steady_timer ticker_;
  bool ending_ = false;
  SnapshotWorker worker_;  // last: its thread reports to the others
};

}  // namespace ckpt::relay
