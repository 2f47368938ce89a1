#include "coordinator/launch/foreground_job.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "coordinator/launch/node_span.hpp"
#include "coordinator/terminal/words.hpp"
#include "format/posix/durable_file.hpp"

namespace ckpt::coordinator {
namespace {

using std::chrono::milliseconds;

constexpr std::array kForwarded = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                   SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};

}  // namespace

ForegroundJob::ForegroundJob(JobDirectory directory, Layout layout, SupervisionFsm& supervision)
    : directory_(std::move(directory)), layout_(std::move(layout)), supervision_(supervision) {
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : kForwarded) sigaddset(&blocked, signal);
  sigaddset(&blocked, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, nullptr, &former_mask_);
  signals_.reset(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
  sigaddset(&blocked, SIGTTOU);  // so that the terminal can be handed over
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  if (::isatty(STDIN_FILENO) != 0) terminal_ = STDIN_FILENO;
  // A reader of our messages may go away; mpirun gets the default again (spawn()).
  ::signal(SIGPIPE, SIG_IGN);
}

ForegroundJob::~ForegroundJob() { ::sigprocmask(SIG_SETMASK, &former_mask_, nullptr); }

Result<StartEnd> ForegroundJob::run(Start start) {
  if (!signals_) return fail_errno("signalfd", "");
  start_ = std::move(start);
  coordinator_ = Daemon();
  coordinator_said_.clear();
  mpirun_ = -1;
  mpirun_status_.reset();
  present_since_.reset();
  end_deadline_.reset();
  impatient_ = false;
  auto socket = make_agent_socket_path();
  if (!socket) return tl::unexpected(socket.error());
  agent_socket_ = std::move(*socket);
  Status started = start_coordinator(true);
  begin_restart_progress();
  if (started) started = start_mpirun();
  if (!started) {
    end_coordinator();
    return tl::unexpected(started.error());
  }
  wait_for_end();
  restart_progress_.reset();
  const auto ended = Clock::now();
  take_terminal_back();
  StartEnd end;
  end.wait_status = *mpirun_status_;
  end.lasted_s = std::chrono::duration<double>(ended - mpirun_started_).count();
  end.all_present = present_since_.has_value();
  if (present_since_) end.ran_s = std::chrono::duration<double>(ended - *present_since_).count();
  if (start_.ask_for_gone_nodes && end.wait_status != 0 && !asked_) {
    end.gone_nodes = ask_for_gone_nodes();
  }
  end_coordinator();
  end.asked = asked_;  // also by a signal that came since
  return end;
}

// "present", "node-lost NODE HAD-RANKS REASON": server.hpp.
void ForegroundJob::read_coordinator() {
  char bytes[512];
  const ssize_t got = ::read(coordinator_.readiness.get(), bytes, sizeof bytes);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return coordinator_.readiness.reset();  // it ended: SIGCHLD tells how
  coordinator_said_.append(bytes, static_cast<std::size_t>(got));
  for (std::size_t at; (at = coordinator_said_.find('\n')) != std::string::npos;) {
    const std::string line = coordinator_said_.substr(0, at);
    coordinator_said_.erase(0, at + 1);
    heed(line);
  }
}

void ForegroundJob::heed(const std::string& line) {
  constexpr std::string_view kLost = "node-lost ";
  if (line == "present" && !present_since_) present_since_ = Clock::now();
  if (line.rfind(kLost, 0) != 0) return;
  const std::size_t name = kLost.size(), ranks = line.find(' ', name);
  if (ranks == std::string::npos || ranks + 3 > line.size()) return;
  tell(line.substr(ranks + 3));
  perform(supervision_.step(
      NodeLost{line.substr(name, ranks - name), line.substr(ranks + 3), line[ranks + 1] == '1'}));
}

void ForegroundJob::perform(const SupervisionActions& actions) {
  constexpr milliseconds kTimeToEnd{10'000};
  for (const SupervisionAction& action : actions) {
    const auto* end = std::get_if<EndMpirun>(&action);
    if (end == nullptr || mpirun_ < 0 || mpirun_status_) continue;
    tell(std::string(end->kill ? "mpirun does not end; it is killed: " : "mpirun is ended: ") +
         end->reason);
    ::kill(mpirun_, end->kill ? SIGKILL : SIGTERM);
    end_deadline_.reset();
    if (!end->kill) end_deadline_ = Clock::now() + kTimeToEnd;
  }
}

void ForegroundJob::look_at_end_deadline() {
  if (!end_deadline_ || Clock::now() < *end_deadline_) return;
  end_deadline_.reset();
  perform(supervision_.step(EndDeadline{}));
}

Status ForegroundJob::start_mpirun() {
  Variables variables = {{"LD_PRELOAD", layout_.shim},
                         {"CKPT_JOB_DIR", directory_.path()},
                         {"CKPT_AGENT_SOCKET", agent_socket_},
                         {kIncarnationVariable, incarnation_variable(start_.incarnation)},
                         {"CKPT_ON_UNSUPPORTED", start_.job.options.on_unsupported}};
  // Otherwise each node finds its own place (format/posix/cache_directory.hpp).
  if (const char* cache = std::getenv("CKPT_CACHE_DIR"); cache != nullptr && *cache != '\0') {
    if (Status made = make_directories(linux_file_system(), cache); !made) {
      return with_context(made.error(), "make the cache of rewritten libraries (CKPT_CACHE_DIR)");
    }
    variables.emplace_back("CKPT_CACHE_DIR", cache);
  }
  const RestartFrom& from = start_.restart_from;
  if (!from.image.empty()) {
    variables.emplace_back("CKPT_RESTART_IMAGE", from.image);
    if (from.accept_changed_files) variables.emplace_back("CKPT_ACCEPT_CHANGED_FILES", "1");
  }
  auto line = inject(start_.command, start_.job.environment, variables);
  if (!line) return tl::unexpected(line.error());
  Spawn what;
  what.arguments = std::move(line->arguments);
  what.environment = std::move(line->environment);
  if (!is_mpirun(start_.command.front())) {
    const std::string path = variable(what.environment, "PATH").value_or("/usr/bin:/bin");
    set_variable(what.environment, "PATH", layout_.launchers + ":" + path);
  }
  what.cwd = start_.job.cwd;
  what.own_group = true;
  what.terminal = terminal_ >= 0 && ::tcgetpgrp(terminal_) == ::getpgrp() ? terminal_ : -1;
  what.death_signal = SIGTERM;
  what.mask = former_mask_;
  auto pid = spawn(what);
  if (!pid) return tl::unexpected(pid.error());
  mpirun_ = *pid;
  mpirun_started_ = Clock::now();
  return {};
}

void ForegroundJob::wait_for_end() {
  while (!mpirun_status_) {
    pollfd readable[2] = {{signals_.get(), POLLIN, 0}, {coordinator_.readiness.get(), POLLIN, 0}};
    const int ready = ::poll(readable, 2, poll_timeout_ms());
    if (ready > 0) {
      if (readable[1].revents != 0) read_coordinator();
      signalfd_siginfo info{};
      while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        on_signal(static_cast<int>(info.ssi_signo));
      }
    }
    start_coordinator_when_due();
    look_at_restart();
    look_at_end_deadline();
  }
}

void ForegroundJob::begin_restart_progress() {
  restart_progress_.reset();
  if (start_.restart_from.image.empty()) return;
  auto made = RestartProgress::make(directory_, start_.job.world_size);
  if (!made) return tell(made.error().message() + "; the restart is not shown");
  restart_progress_.emplace(std::move(*made));
  next_look_ = Clock::now() + RestartProgress::kLookEvery;
}

void ForegroundJob::look_at_restart() {
  if (!restart_progress_ || mpirun_status_ || Clock::now() < next_look_) return;
  next_look_ = Clock::now() + RestartProgress::kLookEvery;
  if (!restart_progress_->look()) restart_progress_.reset();
}

int ForegroundJob::poll_timeout_ms() const {
  int timeout = -1;
  const auto wake_at = [&timeout](Clock::time_point when) {
    const auto left = std::chrono::duration_cast<milliseconds>(when - Clock::now()).count();
    const int bounded = static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 60'000));
    timeout = timeout < 0 ? bounded : std::min(timeout, bounded);
  };
  if (coordinator_.start_at) wake_at(*coordinator_.start_at);
  if (restart_progress_) wake_at(next_look_);
  if (end_deadline_) wake_at(*end_deadline_);
  return timeout;
}

void ForegroundJob::on_signal(int signal) {
  if (signal == SIGCHLD) return on_children();
  const bool to_end =
      signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
  asked_ = asked_ || to_end;
  if (mpirun_status_ || mpirun_ < 0) {
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) impatient_ = true;
    return;
  }
  if (signal == SIGCONT) return continue_mpirun();
  if (signal == SIGTERM && guard_ != nullptr && !term_held_ && guard_->warn()) {
    term_held_ = true;
    return;
  }
  ::kill(mpirun_, signal);
}

void ForegroundJob::on_children() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED);
    if (pid <= 0) return;
    if (pid == mpirun_) {
      if (WIFSTOPPED(status)) {
        stop_with_mpirun();
      } else {
        mpirun_status_ = status;
      }
    } else if (!WIFSTOPPED(status) && pid == coordinator_.pid) {
      on_coordinator_end(status);
    } else if (guard_ != nullptr && pid == guard_->pid() && term_held_ && mpirun_ > 0) {
      ::kill(mpirun_, SIGTERM);
    }
  }
}

// ^Z, or a read from the terminal in the background: whoever started this job
// must see it stopped.
void ForegroundJob::stop_with_mpirun() {
  take_terminal_back();
  ::raise(SIGSTOP);
  // Here again after SIGCONT, which continue_mpirun() answers.
}

void ForegroundJob::continue_mpirun() {
  if (terminal_ >= 0 && ::tcgetpgrp(terminal_) == ::getpgrp()) ::tcsetpgrp(terminal_, mpirun_);
  ::kill(-mpirun_, SIGCONT);
}

void ForegroundJob::take_terminal_back() {
  if (terminal_ >= 0 && mpirun_ > 0 && ::tcgetpgrp(terminal_) == mpirun_) {
    ::tcsetpgrp(terminal_, ::getpgrp());
  }
}

}  // namespace ckpt::coordinator
