// The coordinator of one job: sockets and clocks around the step functions.
//
// Purpose: `ckpt-coord serve`. Listens on 127.0.0.1, or on all addresses when
//   ranks are on other nodes (--listen), for who has the job's key
//   (listener.hpp), feeds session_fsm and checkpoint_fsm, carries out their
//   actions, makes generations visible and prunes old ones.
// Ownership: owns its connections and timers; the job directory, file system
//   and log are the caller's and outlive it.
// Threads: one, the io_context's; what touches the job directory is done by the
//   storage workers', so that storage that hangs stops no heartbeat.
// Units: milliseconds for timers, ns in what is reported.
// Errors: start() reports; later ones are logged once, here, and go into the
//   Outcome of the checkpoint they concern. No exception leaves a handler.
// Source: ARCHITECTURE.md, PROTOCOL.md.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "coordinator/checkpoint_interval/checkpoint_interval.hpp"
#include "coordinator/job_directory/incarnation_file.hpp"
#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/liveness_fsm/liveness_fsm.hpp"
#include "coordinator/server/connection.hpp"
#include "coordinator/server/listener.hpp"
#include "coordinator/server/storage_worker.hpp"
#include "coordinator/server/visible_generation.hpp"
#include "coordinator/session_fsm/session_fsm.hpp"
#include "format/image/generation_directory.hpp"
#include "format/log/event_log.hpp"

namespace ckpt::coordinator {

class Server {
 public:
  // `report`: lines for the process that started it: "present" when all ranks are
  // there, "node-lost NODE HAD-RANKS REASON". Must not block.
  Server(const JobDirectory& directory, JobDescription job, FileSystem& files, EventLog& log,
         std::function<void(const std::string&)> report);

  // Sweeps what a crash left, listens, writes coordinator.json.
  // `of`: the start of the job that it belongs to; fails when that is past.
  Status start(const Incarnation* of = nullptr);
  // Until Halt, SIGTERM or SIGINT.
  void run();
  // After run(). False: an operation on the storage does not return, and so its
  // thread cannot be waited for.
  bool storage_settles(std::chrono::milliseconds bound) {
    return storage_.settles(bound) && pruning_.settles(bound);
  }

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
  struct Survey {  // a NodesRequest that has no answer yet
    std::weak_ptr<Connection> connection;
    std::set<std::uint32_t> awaited;
  };
  struct LastOutcome {
    wire::Outcome outcome;
    std::int64_t at_ns = 0;
    State during = State::idle;
  };

  // connections
  void greet(std::unique_ptr<tls::Stream> stream);
  void admit(const Connection::Pointer& connection, const wire::Message& hello);
  void on_message(const Connection::Pointer& connection, const wire::Message& message);
  void on_closed(const Connection::Pointer& connection, const std::string& reason);
  void from_agent(const Connection::Pointer& connection, const wire::Message& message);
  void from_control(const Connection::Pointer& connection, const wire::Message& message);

  // checkpoints
  void request(const Connection::Pointer& connection, const wire::CheckpointRequest& message);
  void prepare_checkpoint(const char* why);
  void begin_checkpoint(const char* why, const Result<std::uint64_t>& number);
  // Why none can begin: ranks, or storage that does not answer.
  std::optional<std::string> blocked_by() const;
  std::optional<std::string> storage_blocked() const;
  void take_news(const std::vector<SessionNews>& news);
  void carry_out(Actions actions);
  void perform(const Send& action);
  void perform(const OrderSnapshot& action);
  void perform(const Entered& action);
  void perform(const FlushAdvanced& action);
  void perform(const CallForTargets& action);
  void perform(const Commit& action);
  void perform(const Ended& action);
  void remove_partials(std::function<void()> then);
  void finish(const Ended& action, const wire::Outcome& outcome);
  void committed(std::uint64_t generation, bool given_up, const Result<std::string>& path);
  void prune();
  void answer_waiting(const wire::Outcome& outcome);
  static void answer(std::vector<Waiting>& whom, const wire::Outcome& outcome);
  void tell_progress(std::uint64_t bytes_done, std::uint64_t bytes_total);
  std::string status_json() const;

  // liveness
  void arm_heartbeat();
  void beat();
  void perform(const LivenessActions& actions);
  void perform(const SendPing& action);
  void perform(const AgentSuspected& action);
  void perform(const AgentRecovered& action);
  void perform(const AgentSilent& action);
  bool has_ranks(std::uint32_t agent) const;
  void survey(const Connection::Pointer& connection);
  void answer_surveys(std::optional<std::uint32_t> heard);

  // timers
  void arm_deadline(std::uint64_t entry);
  void arm_tick();
  void arm_every();
  void plan_next(Clock::time_point from);
  void check_readiness();

  // for whom it listens (widening.cpp)
  void arm_widening();
  void widen();
  Status listen_for_all();
  Result<CoordinatorAddress> own_address() const;

  void halt(const std::string& reason, bool finish);
  // Another coordinator or start has the job: end, and touch nothing of theirs.
  void leave_office(const std::string& reason);
  void end();
  void stop_when_sent();

  const JobDirectory& directory_;
  JobDescription job_;
  FileSystem& files_;
  EventLog& log_;
  image::GenerationDirectory generations_;

  boost::asio::io_context io_;
  Listener listener_;  // on loopback
  Listener wide_listener_;
  std::optional<tls::JobKey> key_;
  boost::asio::signal_set signals_{io_};
  boost::asio::steady_timer deadline_{io_}, tick_{io_}, every_{io_}, readiness_{io_}, ending_{io_};
  boost::asio::steady_timer widening_{io_}, heartbeat_{io_};

  std::set<Connection::Pointer> connections_;
  std::map<std::uint32_t, Connection::Pointer> agents_;
  std::uint32_t next_agent_ = 0;
  std::vector<Waiting> waiting_;
  std::vector<Waiting> concluded_;  // of the one that has just ended: not answered yet

  std::function<void(const std::string&)> report_;
  Incarnation office_;  // this coordinator's incarnation and term
  LivenessFsm liveness_;
  std::map<std::string, std::string> gone_nodes_;  // node: why; until an agent of it comes back
  std::vector<Survey> surveys_;
  CheckpointCost cost_;
  IntervalPlan plan_;

  SessionFsm session_;
  CheckpointFsm checkpoint_;
  std::uint64_t last_number_ = 0;                 // of a generation begun
  std::map<std::uint32_t, std::string> ordered_;  // agent -> partial file it was told to write
  std::set<std::string> nodes_ordered_;           // names of the nodes these are on
  Timing timing_;
  LastOutcome last_;
  std::string committed_path_;
  std::uint64_t commits_ = 0, failures_ = 0;
  Clock::time_point started_ = Clock::now();
  Clock::time_point next_every_{};
  bool wide_ = false;             // wide_listener_ is open
  bool widening_failed_ = false;  // was told
  bool missing_before_ = false;   // ranks, at the last look
  bool halting_ = false, ended_ = false, superseded_ = false;
  bool preparing_ = false;   // a checkpoint: its number is being looked for
  bool concluding_ = false;  // an aborted one: its files are being removed
  std::shared_ptr<std::atomic<bool>> commit_given_up_;
  std::string halt_reason_;
  Clock::time_point stop_by_{};

  // Last: their threads use the others. What becomes old is looked for aside: the
  // records of a big generation take a minute to read, and the next one need not wait.
  StorageWorker pruning_{io_};
  StorageWorker storage_{io_};
};

}  // namespace ckpt::coordinator
