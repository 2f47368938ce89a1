// The coordinator of one job: sockets and clocks around the step functions.
//
// Purpose: `ckpt-coord serve`. Listens on 127.0.0.1, lets in who has the job's
//   secret, feeds session_fsm and checkpoint_fsm, carries out their actions,
//   makes generations visible and prunes old ones.
// Ownership: owns its connections and timers; the job directory, file system
//   and log are the caller's and outlive it.
// Threads: one, the io_context's; commits are made in it.
// Units: milliseconds for timers, ns in what is reported.
// Errors: start() reports; later ones are logged once, here, and go into the
//   Outcome of the checkpoint they concern. No exception leaves a handler.
// Source: ARCHITECTURE.md, PROTOCOL.md.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/server/connection.hpp"
#include "coordinator/session_fsm/session_fsm.hpp"
#include "format/image/generation_directory.hpp"
#include "format/log/event_log.hpp"

namespace ckpt::coordinator {

class Server {
 public:
  Server(const JobDirectory& directory, JobDescription job, FileSystem& files, EventLog& log);

  // Sweeps what a crash left, listens, writes coordinator.json.
  Status start();
  // Until Halt, SIGTERM or SIGINT.
  void run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {  // a CheckpointRequest that has no answer yet
    std::weak_ptr<Connection> connection;
    Clock::time_point since, ready_until;
  };
  struct Timing {
    Clock::time_point begun, cut, resumed;
    std::int64_t taken_at_ns = 0;
    int tries = 0;
  };
  struct LastOutcome {
    wire::Outcome outcome;
    std::int64_t at_ns = 0;
    State during = State::idle;
  };

  // connections
  void accept();
  void admit(const Connection::Pointer& connection, const wire::Message& hello);
  void on_message(const Connection::Pointer& connection, const wire::Message& message);
  void on_closed(const Connection::Pointer& connection, const std::string& reason);
  void from_agent(const Connection::Pointer& connection, const wire::Message& message);
  void from_control(const Connection::Pointer& connection, const wire::Message& message);

  // checkpoints
  void request(const Connection::Pointer& connection, const wire::CheckpointRequest& message);
  bool begin_checkpoint(const char* why);
  void take_news(const std::vector<SessionNews>& news);
  void carry_out(Actions actions);
  void perform(const Send& action);
  void perform(const OrderSnapshot& action);
  void perform(const Entered& action);
  void perform(const FlushAdvanced& action);
  void perform(const Commit& action);
  void perform(const Ended& action);
  Result<std::string> make_visible(const Commit& action);
  void prune();
  void answer_waiting(const wire::Outcome& outcome);
  void tell_progress(std::uint64_t bytes_done, std::uint64_t bytes_total);
  std::string status_json() const;

  // timers
  void arm_deadline(std::uint64_t entry);
  void arm_tick();
  void arm_every();
  void check_readiness();

  void halt(const std::string& reason, bool finish);
  void end();
  void stop_when_sent();

  const JobDirectory& directory_;
  JobDescription job_;
  FileSystem& files_;
  EventLog& log_;
  image::GenerationDirectory generations_;
  std::string secret_;

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{io_};
  boost::asio::signal_set signals_{io_};
  boost::asio::steady_timer deadline_{io_}, tick_{io_}, every_{io_}, readiness_{io_}, ending_{io_};

  std::set<Connection::Pointer> connections_;
  std::map<std::uint32_t, Connection::Pointer> agents_;
  std::uint32_t next_agent_ = 0;
  std::vector<Waiting> waiting_;

  SessionFsm session_;
  CheckpointFsm checkpoint_;
  std::uint64_t last_number_ = 0;  // of a generation begun
  std::map<std::uint32_t, std::string> ordered_;  // agent -> partial file it was told to write
  Timing timing_;
  LastOutcome last_;
  std::string committed_path_;
  std::uint64_t commits_ = 0, failures_ = 0;
  Clock::time_point started_ = Clock::now();
  Clock::time_point next_every_{};
  bool halting_ = false, ended_ = false;
  std::string halt_reason_;
  int stop_checks_ = 0;
};

}  // namespace ckpt::coordinator
