#include "coordinator/time_limit/limit_guard.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "coordinator/control_client/control_client.hpp"
#include "coordinator/time_limit/limit_plan.hpp"
#include "format/log/event_log.hpp"

namespace ckpt::coordinator {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kSlurmPatience{20'000};

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class Watch {
 public:
  Watch(const JobDirectory& directory, const SlurmJob& job, EventLog& log)
      : directory_(directory), job_(job), log_(log) {}

  void run(bool has_generation) {
    ask();
    LimitPlan plan({});
    if (has_generation) plan.has_generation();
    for (bool urgent = false;;) {
      measure(plan);
      plan.may_requeue(requeue_);
      urgent = urgent || is_warned();  // also while something else was done
      const LimitPlan::Action action = plan.step(now_ms(), end_ms_, urgent);
      switch (action.what) {
        case LimitPlan::Do::nothing: return;
        case LimitPlan::Do::wait: urgent = wait_until(action.until_ms); break;
        case LimitPlan::Do::checkpoint: plan.checkpoint_ended(checkpoint()); break;
        case LimitPlan::Do::requeue:
          hand_back();
          plan.requeue_ended();
          break;
      }
      ask();
    }
  }

 private:
  // What cannot be asked now is asked again.
  void ask() {
    const auto text = ask_slurm(job_.id, kSlurmPatience);
    if (!text) return log_.warning("time_limit_unknown", {{"cause", text.error()}});
    const auto end = slurm_time(slurm_field(*text, "EndTime").value_or(""));
    const bool limited = slurm_field(*text, "TimeLimit").value_or("UNLIMITED") != "UNLIMITED";
    end_ms_.reset();
    if (end && limited) end_ms_ = *end * 1000;
    requeue_ = may_be_requeued(*text);
  }

  // How long the coordinator's last checkpoint took, once for each.
  void measure(LimitPlan& plan) {
    auto client = ControlClient::connect(directory_, 2'000);
    if (!client || !client->send(wire::StatusRequest{})) return;
    const auto answer = client->receive(5'000);
    const auto* status = answer ? std::get_if<wire::JobStatus>(&*answer) : nullptr;
    if (status == nullptr) return;
    const auto value = nlohmann::json::parse(status->json, nullptr, false);
    if (!value.is_object() || !value.contains("last")) return;
    const auto& last = value["last"];
    if (!last.value("committed", false)) return;
    const std::uint64_t generation = last.value("generation", std::uint64_t{0});
    if (std::exchange(measured_, generation) == generation) return;
    plan.measured(static_cast<std::int64_t>(last.value("duration_s", 0.0) * 1000));
  }

  bool checkpoint() {
    log_.info("last_checkpoint_begun", {{"slurm_job", job_.id}});
    auto client = ControlClient::connect(directory_, 5'000);
    if (!client) return failed(client.error());
    constexpr std::uint64_t kReadyWithinNs = 10'000'000'000;
    if (Status sent = client->send(wire::CheckpointRequest{kReadyWithinNs}); !sent) {
      return failed(sent.error());
    }
    for (;;) {  // the coordinator bounds each state
      const auto message = client->receive(-1);
      if (!message) return failed(message.error());
      const auto* outcome = std::get_if<wire::Outcome>(&*message);
      if (outcome == nullptr) continue;
      if (outcome->verdict == static_cast<std::uint32_t>(wire::Verdict::committed)) return true;
      return failed(Error{"checkpoint", directory_.name(), outcome->reason, 0});
    }
  }

  bool failed(const Error& error) {
    log_.warning("last_checkpoint_failed", {{"slurm_job", job_.id}, {"cause", error}});
    return false;
  }

  void hand_back() {
    log_.info("requeue", {{"slurm_job", job_.id}});
    const Status done = requeue(job_.id, kSlurmPatience);
    if (!done) log_.error("requeue_failed", {{"slurm_job", job_.id}, {"cause", done.error()}});
  }

  static bool is_warned() {
    sigset_t pending;
    sigemptyset(&pending);
    return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGTERM) == 1;
  }

  // True when the job is about to be ended.
  bool wait_until(std::int64_t until) {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    const std::int64_t left = std::max<std::int64_t>(until - now_ms(), 0);
    const timespec bound{left / 1000, (left % 1000) * 1'000'000};
    return ::sigtimedwait(&term, nullptr, &bound) == SIGTERM;
  }

  const JobDirectory& directory_;
  const SlurmJob& job_;
  EventLog& log_;
  bool requeue_ = true;  // until Slurm says otherwise
  std::optional<std::int64_t> end_ms_;
  std::uint64_t measured_ = 0;
};

[[noreturn]] void guard(const JobDirectory& directory, const SlurmJob& job, bool has_generation,
                        pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  ::setsid();
  ::prctl(PR_SET_NAME, "ckpt-limit");
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &term, nullptr);
  // The job's output ends when the job does, not when this process does.
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  auto log = EventLog::open({directory.log_path(), false, LogLevel::info, {}});
  if (log) Watch(directory, job, *log).run(has_generation);
  ::_exit(0);
}

}  // namespace

LimitGuard LimitGuard::start(const JobDirectory& directory, const SlurmJob& job,
                             bool has_generation) {
  LimitGuard made;
  const pid_t parent = ::getpid();
  made.pid_ = ::fork();
  if (made.pid_ == 0) guard(directory, job, has_generation, parent);
  if (made.pid_ > 0) {
    made.process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, made.pid_, 0)));
  }
  return made;
}

LimitGuard::LimitGuard(LimitGuard&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), process_(std::move(other.process_)) {}

LimitGuard& LimitGuard::operator=(LimitGuard&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(process_, other.process_);
  return *this;
}

LimitGuard::~LimitGuard() {
  if (!process_) return;
  // It may have ended and been waited for by then: the descriptor knows.
  if (::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0) == 0) {
    ::waitpid(pid_, nullptr, 0);
  }
}

bool LimitGuard::warn() const {
  return process_ && ::syscall(SYS_pidfd_send_signal, process_.get(), SIGTERM, nullptr, 0) == 0;
}

}  // namespace ckpt::coordinator
