// `run` and `restart`: mpirun in the foreground, the coordinator beside it.
//
// Purpose: starts the coordinator, then mpirun with the user's own standard
//   streams; forwards signals; starts a coordinator that died again (the job
//   goes on meanwhile); cleans up and reports mpirun's status. Agents start
//   themselves where ranks are (mpi_shim/agent_starter.hpp).
// Ownership: owns the two processes. mpirun gets SIGTERM when this process
//   dies, so nothing is left unattended.
// Threads: one; blocks the signals it forwards from construction on.
// Terminal: mpirun has a process group of its own (a signal reaches it once),
//   which is the foreground one of a terminal on stdin; ^Z stops both.
// Errors: what keeps the job from starting is an Error; later troubles are
//   told on stderr and do not stop the job.
// Source: signalfd(2), tcsetpgrp(3), wait(2); Open MPI's mpirun(1), "Signal propagation".
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/control_client/control_client.hpp"
#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/launch/child_process.hpp"
#include "coordinator/launch/layout.hpp"
#include "coordinator/launch/mpi_command.hpp"
#include "coordinator/launch/restart_progress.hpp"
#include "coordinator/supervision_fsm/supervision_fsm.hpp"
#include "coordinator/time_limit/limit_guard.hpp"
#include "format/incarnation/incarnation.hpp"

namespace ckpt::coordinator {

// What ranks are told at a restart; an empty image at a first start.
struct RestartFrom {
  std::string image;                  // a generation file
  bool accept_changed_files = false;  // map files that are newer than the generation
};

// One start of the job.
struct Start {
  JobDescription job;
  std::vector<std::string> command;  // what is started
  RestartFrom restart_from;
  Incarnation incarnation;
  bool ask_for_gone_nodes = false;  // when it fails
};

struct StartEnd {
  int wait_status = 0;                  // of mpirun
  bool asked = false;                   // a signal to end it came through this process
  bool all_present = false;             // all ranks were there at some time
  double ran_s = 0;                     // since then
  double lasted_s = 0;                  // since mpirun was started
  std::vector<std::string> gone_nodes;  // of a job that failed, where asked for
};

class ForegroundJob {
 public:
  // `supervision` is told of lost nodes and says when mpirun is to be ended.
  ForegroundJob(JobDirectory directory, Layout layout, SupervisionFsm& supervision);
  ~ForegroundJob();

  // On the first SIGTERM the guard takes a last checkpoint, and mpirun gets the
  // signal when that has ended; a second SIGTERM goes there at once. It outlives this.
  void warn_before_the_end(const LimitGuard& guard) { guard_ = &guard; }

  // Again and again, one start after the other.
  Result<StartEnd> run(Start start);

 private:
  using Clock = std::chrono::steady_clock;
  struct Daemon {
    pid_t pid = -1, last_pid = -1;
    Clock::time_point started{};
    std::chrono::milliseconds pause{200};  // before it is started again
    std::optional<Clock::time_point> start_at;
    UniqueFd readiness;  // read end of what it says "ready" into
  };

  Status start_coordinator(bool wait_until_ready);
  Status start_mpirun();
  void wait_for_end();
  void on_signal(int signal);
  void on_children();
  void on_coordinator_end(int wait_status);
  void start_coordinator_when_due();
  void stop_with_mpirun();
  void continue_mpirun();
  void take_terminal_back();
  void read_coordinator();
  void heed(const std::string& line);
  void perform(const SupervisionActions& actions);
  void look_at_end_deadline();
  std::vector<std::string> ask_for_gone_nodes();
  void end_coordinator();
  std::optional<ControlClient> connect_to_coordinator() const;
  // nullopt: as long as it takes.
  bool wait_gone(std::optional<std::chrono::milliseconds> bound);
  int poll_timeout_ms() const;
  void begin_restart_progress();
  void look_at_restart();

  JobDirectory directory_;
  Layout layout_;
  SupervisionFsm& supervision_;
  Start start_;
  std::string agent_socket_;
  sigset_t former_mask_{};
  UniqueFd signals_;
  int terminal_ = -1;  // stdin when it is one
  Daemon coordinator_;
  pid_t mpirun_ = -1;
  std::optional<int> mpirun_status_;
  std::optional<RestartProgress> restart_progress_;
  Clock::time_point next_look_{};
  const LimitGuard* guard_ = nullptr;
  bool term_held_ = false;        // the guard was warned; its end lets the signal go on
  bool impatient_ = false;        // a signal to end came after mpirun had ended
  bool asked_ = false;            // one came before
  std::string coordinator_said_;  // of its pipe, up to a whole line
  Clock::time_point mpirun_started_{};
  std::optional<Clock::time_point> present_since_, end_deadline_;
};

}  // namespace ckpt::coordinator
