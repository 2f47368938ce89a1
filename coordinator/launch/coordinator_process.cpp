// The coordinator beside a job in the foreground: its start, its end, a new one
// when it died.
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "coordinator/launch/foreground_job.hpp"
#include "coordinator/launch/node_span.hpp"
#include "coordinator/terminal/words.hpp"
#include "format/posix/host_name.hpp"

namespace ckpt::coordinator {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReadyTime{60'000};
constexpr milliseconds kLongestPause{30'000};

enum ServeExit : int {
#define CKPT_EXIT(name, number, meaning) serve_##name = number,
#include "coordinator/commands/exit_codes.def"
#undef CKPT_EXIT
};

// What a daemon says on its ready descriptor: "ready", or why not.
std::string read_readiness(int fd) {
  std::string text;
  const auto until = std::chrono::steady_clock::now() + kReadyTime;
  while (text.find('\n') == std::string::npos) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
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

Status ForegroundJob::start_coordinator(bool wait_until_ready) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", "");
  UniqueFd reader(ends[0]), writer(ends[1]);
  Spawn what;
  what.arguments = {layout_.program,
                    "serve",
                    directory_.path(),
                    "--parent-pid",
                    std::to_string(::getpid()),
                    "--ready-fd",
                    std::to_string(writer.get()),
                    "--incarnation",
                    incarnation_variable(start_.incarnation)};
  if (start_.job.options.listen == "auto" &&
      spans_nodes(start_.command, start_.job.environment, host_name())) {
    what.arguments.insert(what.arguments.end(), {"--listen", "all"});
  }
  what.environment = own_environment();
  what.own_session = true;
  what.output = directory_.log_path();
  what.inherit = {writer.get()};
  what.mask = former_mask_;
  coordinator_.started = Clock::now();
  coordinator_.start_at.reset();
  auto pid = spawn(what);
  if (!pid) return tl::unexpected(pid.error());
  coordinator_.pid = coordinator_.last_pid = *pid;
  coordinator_.readiness = std::move(reader);
  writer.reset();
  // Later on nobody waits: one that is not ready ends, and is started again.
  if (!wait_until_ready) return {};
  const std::string said = read_readiness(coordinator_.readiness.get());
  if (said == "ready") return {};
  return fail("start", "coordinator", said + " (see " + directory_.log_path() + ")");
}

void ForegroundJob::on_coordinator_end(int wait_status) {
  coordinator_.pid = -1;
  if (mpirun_status_ || mpirun_ < 0) return;  // it was asked to end
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == serve_superseded) {
    return tell("this start of the job is past: the job was started anew elsewhere");
  }
  // One that dies at once, again and again, is given more and more time.
  constexpr milliseconds kLongLife{10'000}, kFirstPause{200};
  const bool lived = Clock::now() - coordinator_.started > kLongLife;
  coordinator_.pause = lived ? kFirstPause : std::min(coordinator_.pause * 2, kLongestPause);
  coordinator_.start_at = Clock::now() + coordinator_.pause;
  tell("the coordinator " + describe_exit(wait_status) +
       "; the job goes on without checkpoints until a new one has started");
}

void ForegroundJob::start_coordinator_when_due() {
  if (mpirun_status_ || !coordinator_.start_at || Clock::now() < *coordinator_.start_at) return;
  if (Status started = start_coordinator(false); !started) {
    tell(started.error().message());
    coordinator_.pause = std::min(coordinator_.pause * 2, kLongestPause);
    coordinator_.start_at = Clock::now() + coordinator_.pause;
  } else {
    tell("a new coordinator was started");
  }
}

// Ours: what coordinator.json names may be that of a later start elsewhere.
std::optional<ControlClient> ForegroundJob::connect_to_coordinator() const {
  if (!directory_.is_coordinator(coordinator_.last_pid)) return std::nullopt;
  auto client = ControlClient::connect(directory_, 2'000);
  if (!client || client->coordinator_pid() != coordinator_.last_pid) return std::nullopt;
  return std::move(*client);
}

// Of a node that lost its power nothing has come yet but mpirun's own end; the
// coordinator hears each agent once more, or finds it silent.
std::vector<std::string> ForegroundJob::ask_for_gone_nodes() {
  auto client = connect_to_coordinator();
  if (!client || !client->send(wire::NodesRequest{})) return {};
  constexpr int kBeyond_ms = 5'000;
  const auto answer = client->receive(static_cast<int>(start_.job.options.silence_ms) + kBeyond_ms);
  const auto* nodes = answer ? std::get_if<wire::Nodes>(&*answer) : nullptr;
  return nodes != nullptr ? nodes->gone : std::vector<std::string>();
}

void ForegroundJob::end_coordinator() {
  // The copies of a failed job may be all that is left of it: let them be written.
  const bool failed = mpirun_status_ && shell_status(*mpirun_status_) != 0;
  std::optional<milliseconds> patience{5'000};
  if (coordinator_.pid > 0) {
    auto client = connect_to_coordinator();
    const std::string reason =
        mpirun_status_ ? "mpirun " + describe_exit(*mpirun_status_) : "the job did not start";
    const std::uint8_t finish = failed ? 1 : 0;
    if (client && client->send(wire::Halt{reason, finish})) {
      if (failed) patience.reset();  // it bounds each state itself
    } else {
      ::kill(coordinator_.pid, SIGTERM);
    }
  }
  if (!wait_gone(patience)) {
    ::kill(coordinator_.pid, SIGTERM);
    if (!wait_gone(milliseconds(2'000))) {
      ::kill(coordinator_.pid, SIGKILL);
      wait_gone(milliseconds(2'000));
    }
  }
  // The coordinator removes it; one that was killed could not. Agents that find
  // it gone end when their ranks do.
  directory_.remove_coordinator(coordinator_.last_pid);
}

bool ForegroundJob::wait_gone(std::optional<milliseconds> bound) {
  const auto until = bound ? Clock::now() + *bound : Clock::time_point::max();
  coordinator_.start_at.reset();
  for (;;) {
    on_children();
    if (coordinator_.pid <= 0) return true;
    constexpr milliseconds kNoBound{60'000};
    const auto left = bound ? std::chrono::duration_cast<milliseconds>(until - Clock::now()).count()
                            : kNoBound.count();
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
