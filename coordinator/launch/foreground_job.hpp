// `run` and `restart`: mpirun in the foreground, coordinator and agent beside it.
//
// Purpose: starts coordinator and agent, then mpirun with the user's own
//   standard streams; forwards signals; starts a coordinator or agent that died
//   again (the job goes on meanwhile); cleans up and reports mpirun's status.
// Ownership: owns the three processes and the runtime directory. mpirun gets
//   SIGTERM when this process dies, so nothing is left unattended.
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

#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/launch/child_process.hpp"
#include "coordinator/launch/layout.hpp"
#include "coordinator/launch/mpi_command.hpp"

namespace ckpt::coordinator {

// What ranks are told at a restart; an empty image at a first start.
struct RestartFrom {
  std::string image;                  // a generation file
  bool accept_changed_files = false;  // map files that are newer than the generation
};

class ForegroundJob {
 public:
  // `command` is what is started.
  ForegroundJob(JobDirectory directory, JobDescription job, Layout layout,
                std::vector<std::string> command, RestartFrom restart_from = {});
  ~ForegroundJob();

  // The exit status as a shell has it.
  Result<int> run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Daemon {
    const char* name = "";
    pid_t pid = -1;
    Clock::time_point started{};
    std::chrono::milliseconds pause{200};           // before it is started again
    std::optional<Clock::time_point> start_at;
    UniqueFd readiness;  // read end of what it says "ready" into
  };

  Status start_daemon(Daemon& daemon, bool wait_until_ready);
  Result<Spawn> coordinator_spawn(int ready_fd) const;
  Result<Spawn> agent_spawn(int ready_fd) const;
  Status start_mpirun();
  void wait_for_end();
  void on_signal(int signal);
  void on_children();
  void on_daemon_end(Daemon& daemon, int wait_status);
  void start_due_daemons();
  void stop_with_mpirun(int signal);
  void continue_mpirun();
  void take_terminal_back();
  void end_daemons();
  bool wait_gone(Daemon& daemon, std::chrono::milliseconds bound);
  int poll_timeout_ms() const;

  JobDirectory directory_;
  JobDescription job_;
  Layout layout_;
  std::vector<std::string> command_;
  RestartFrom restart_from_;
  std::optional<RuntimeDirectory> runtime_;
  sigset_t former_mask_{};
  UniqueFd signals_;
  int terminal_ = -1;  // stdin when it is one
  Daemon coordinator_{"coordinator"}, agent_{"agent"};
  pid_t mpirun_ = -1;
  std::optional<int> mpirun_status_;
  bool impatient_ = false;  // a signal to end came after mpirun had ended
};

}  // namespace ckpt::coordinator
