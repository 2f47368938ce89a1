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

#include "coordinator/control_client/control_client.hpp"
#include "format/posix/durable_file.hpp"

extern char** environ;

namespace ckpt::coordinator {
namespace {

using std::chrono::milliseconds;

constexpr std::array kForwarded = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                   SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};
constexpr milliseconds kReadyTime{20'000};
constexpr milliseconds kLongestPause{30'000};

void tell(const std::string& text) { std::fprintf(stderr, "ckpt-coord: %s\n", text.c_str()); }

std::vector<std::string> own_environment() {
  std::vector<std::string> all;
  for (char** each = environ; *each != nullptr; ++each) all.emplace_back(*each);
  return all;
}

std::string cache_directory() {
  for (const auto& [name, tail] : {std::pair("CKPT_CACHE_DIR", ""),
                                   std::pair("XDG_CACHE_HOME", "/ckpt-coord"),
                                   std::pair("HOME", "/.cache/ckpt-coord")}) {
    const char* set = std::getenv(name);
    if (set != nullptr && *set == '/') return std::string(set) + tail;
  }
  return "/var/tmp/ckpt-coord-" + std::to_string(::getuid());
}

// What a daemon says on its ready descriptor: "ready", or why not.
std::string read_readiness(int fd) {
  std::string text;
  const auto until = std::chrono::steady_clock::now() + kReadyTime;
  while (text.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return "not ready in time";
    pollfd readable{fd, POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(left.count())) <= 0) continue;
    char bytes[512];
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(bytes, static_cast<std::size_t>(got));
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "it ended before it was ready" : text;
}

}  // namespace

ForegroundJob::ForegroundJob(JobDirectory directory, JobDescription job, Layout layout,
                             std::vector<std::string> command, RestartFrom restart_from)
    : directory_(std::move(directory)),
      job_(std::move(job)),
      layout_(std::move(layout)),
      command_(std::move(command)),
      restart_from_(std::move(restart_from)) {
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : kForwarded) sigaddset(&blocked, signal);
  sigaddset(&blocked, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, nullptr, &former_mask_);
  signals_.reset(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
  sigaddset(&blocked, SIGTTOU);  // so that the terminal can be handed over
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  if (::isatty(STDIN_FILENO) != 0) terminal_ = STDIN_FILENO;
}

ForegroundJob::~ForegroundJob() { ::sigprocmask(SIG_SETMASK, &former_mask_, nullptr); }

Result<int> ForegroundJob::run() {
  if (!signals_) return fail_errno("signalfd", "");
  auto runtime = RuntimeDirectory::make();
  if (!runtime) return tl::unexpected(runtime.error());
  runtime_.emplace(std::move(*runtime));
  Status started = start_daemon(coordinator_, true);
  if (started) started = start_daemon(agent_, true);
  if (started) started = start_mpirun();
  if (!started) {
    end_daemons();
    return tl::unexpected(started.error());
  }
  wait_for_end();
  take_terminal_back();
  end_daemons();
  return shell_status(*mpirun_status_);
}

Result<Spawn> ForegroundJob::coordinator_spawn(int ready_fd) const {
  Spawn what;
  what.arguments = {layout_.program, "serve", directory_.path(), "--parent-pid",
                    std::to_string(::getpid()), "--ready-fd", std::to_string(ready_fd)};
  what.environment = own_environment();
  return what;
}

Result<Spawn> ForegroundJob::agent_spawn(int ready_fd) const {
  Spawn what;
  what.arguments = {layout_.agent, "--job-dir", directory_.path(), "--socket",
                    runtime_->agent_socket(), "--parent-pid", std::to_string(::getpid()),
                    "--ready-fd", std::to_string(ready_fd)};
  what.environment = own_environment();
  set_variable(what.environment, "CKPT_CACHE_DIR", cache_directory());
  set_variable(what.environment, "CKPT_ON_UNSUPPORTED", job_.options.on_unsupported);
  return what;
}

Status ForegroundJob::start_daemon(Daemon& daemon, bool wait_until_ready) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", "");
  UniqueFd reader(ends[0]), writer(ends[1]);
  auto what = &daemon == &coordinator_ ? coordinator_spawn(writer.get()) : agent_spawn(writer.get());
  if (!what) return tl::unexpected(what.error());
  what->own_session = true;
  what->output = directory_.log_path();
  what->inherit = {writer.get()};
  what->mask = former_mask_;
  daemon.started = Clock::now();
  daemon.start_at.reset();
  auto pid = spawn(*what);
  if (!pid) return tl::unexpected(pid.error());
  daemon.pid = *pid;
  daemon.readiness = std::move(reader);
  writer.reset();
  // Later on nobody waits: a daemon that is not ready ends, and is started again.
  if (!wait_until_ready) return {};
  const std::string said = read_readiness(daemon.readiness.get());
  if (said == "ready") return {};
  return fail("start", daemon.name, said + " (see " + directory_.log_path() + ")");
}

Status ForegroundJob::start_mpirun() {
  if (Status made = make_directories(linux_file_system(), cache_directory()); !made) {
    return with_context(made.error(), "make the cache of rewritten libraries (CKPT_CACHE_DIR)");
  }
  Variables variables = {{"LD_PRELOAD", layout_.shim},
                         {"CKPT_JOB_DIR", directory_.path()},
                         {"CKPT_AGENT_SOCKET", runtime_->agent_socket()},
                         {"CKPT_ON_UNSUPPORTED", job_.options.on_unsupported},
                         {"CKPT_CACHE_DIR", cache_directory()}};
  if (!restart_from_.image.empty()) {
    variables.emplace_back("CKPT_RESTART_IMAGE", restart_from_.image);
    if (restart_from_.accept_changed_files) variables.emplace_back("CKPT_ACCEPT_CHANGED_FILES", "1");
  }
  auto line = inject(command_, job_.environment, variables);
  if (!line) return tl::unexpected(line.error());
  Spawn what;
  what.arguments = std::move(line->arguments);
  what.environment = std::move(line->environment);
  what.cwd = job_.cwd;
  what.own_group = true;
  what.terminal = terminal_ >= 0 && ::tcgetpgrp(terminal_) == ::getpgrp() ? terminal_ : -1;
  what.death_signal = SIGTERM;
  what.mask = former_mask_;
  auto pid = spawn(what);
  if (!pid) return tl::unexpected(pid.error());
  mpirun_ = *pid;
  return {};
}

void ForegroundJob::wait_for_end() {
  while (!mpirun_status_) {
    pollfd readable{signals_.get(), POLLIN, 0};
    const int ready = ::poll(&readable, 1, poll_timeout_ms());
    if (ready > 0) {
      signalfd_siginfo info{};
      while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        on_signal(static_cast<int>(info.ssi_signo));
      }
    }
    start_due_daemons();
  }
}

int ForegroundJob::poll_timeout_ms() const {
  int timeout = -1;
  for (const Daemon* daemon : {&coordinator_, &agent_}) {
    if (!daemon->start_at) continue;
    const auto left =
        std::chrono::duration_cast<milliseconds>(*daemon->start_at - Clock::now()).count();
    const int bounded = static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 60'000));
    timeout = timeout < 0 ? bounded : std::min(timeout, bounded);
  }
  return timeout;
}

void ForegroundJob::on_signal(int signal) {
  if (signal == SIGCHLD) return on_children();
  if (mpirun_status_ || mpirun_ < 0) {
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) impatient_ = true;
    return;
  }
  if (signal == SIGCONT) return continue_mpirun();
  ::kill(mpirun_, signal);
}

void ForegroundJob::on_children() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED);
    if (pid <= 0) return;
    if (pid == mpirun_) {
      if (WIFSTOPPED(status)) {
        stop_with_mpirun(WSTOPSIG(status));
      } else {
        mpirun_status_ = status;
      }
    } else if (!WIFSTOPPED(status)) {
      if (pid == coordinator_.pid) on_daemon_end(coordinator_, status);
      if (pid == agent_.pid) on_daemon_end(agent_, status);
    }
  }
}

void ForegroundJob::on_daemon_end(Daemon& daemon, int wait_status) {
  daemon.pid = -1;
  if (mpirun_status_ || mpirun_ < 0) return;  // it was asked to end
  // One that dies at once, again and again, is given more and more time.
  constexpr milliseconds kLongLife{10'000}, kFirstPause{200};
  const bool lived = Clock::now() - daemon.started > kLongLife;
  daemon.pause = lived ? kFirstPause : std::min(daemon.pause * 2, kLongestPause);
  daemon.start_at = Clock::now() + daemon.pause;
  tell(std::string("the ") + daemon.name + " " + describe_exit(wait_status) +
       "; the job goes on without checkpoints until a new one has started");
}

void ForegroundJob::start_due_daemons() {
  if (mpirun_status_) return;
  for (Daemon* daemon : {&coordinator_, &agent_}) {
    if (!daemon->start_at || Clock::now() < *daemon->start_at) continue;
    if (Status started = start_daemon(*daemon, false); !started) {
      tell(started.error().message());
      daemon->pause = std::min(daemon->pause * 2, kLongestPause);
      daemon->start_at = Clock::now() + daemon->pause;
    } else {
      tell(std::string("a new ") + daemon->name + " was started");
    }
  }
}

// ^Z, or a read from the terminal in the background: whoever started this job
// must see it stopped.
void ForegroundJob::stop_with_mpirun(int) {
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

void ForegroundJob::end_daemons() {
  // The copies of a failed job may be all that is left of it: let them be written.
  const bool failed = mpirun_status_ && shell_status(*mpirun_status_) != 0;
  constexpr milliseconds kPatience{5'000};
  milliseconds patience = kPatience;
  bool agent_told = false;
  if (coordinator_.pid > 0) {
    auto client = ControlClient::connect(directory_, 2'000);
    const std::string reason = mpirun_status_ ? "mpirun " + describe_exit(*mpirun_status_)
                                              : "the job did not start";
    const std::uint8_t finish = failed ? 1 : 0;
    if (client && client->send(wire::Halt{reason, finish})) {
      agent_told = true;
      if (failed) patience = milliseconds(job_.options.timeout_ms);
    } else {
      ::kill(coordinator_.pid, SIGTERM);
    }
  }
  for (Daemon* daemon : {&coordinator_, &agent_}) {
    const bool told = daemon == &coordinator_ || agent_told;
    if (wait_gone(*daemon, told ? patience : milliseconds(0))) continue;
    patience = kPatience;
    ::kill(daemon->pid, SIGTERM);
    if (wait_gone(*daemon, milliseconds(2'000))) continue;
    ::kill(daemon->pid, SIGKILL);
    wait_gone(*daemon, milliseconds(2'000));
  }
  // The coordinator removes it; one that was killed could not.
  directory_.remove_coordinator();
  runtime_.reset();
}

bool ForegroundJob::wait_gone(Daemon& daemon, milliseconds bound) {
  const auto until = Clock::now() + bound;
  daemon.start_at.reset();
  for (;;) {
    on_children();
    if (daemon.pid <= 0) return true;
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    if (left <= 0 || impatient_) return false;
    pollfd readable{signals_.get(), POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(std::min<std::int64_t>(left, 1000))) <= 0) continue;
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      on_signal(static_cast<int>(info.ssi_signo));
    }
  }
}

}  // namespace ckpt::coordinator
