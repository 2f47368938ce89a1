#include "agent/relay/agent.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>

namespace ckpt::relay {
namespace {

constexpr std::chrono::seconds kProgressEvery{1};

}  // namespace

Agent::Agent(AgentOptions options, EventLog& log)
    : options_(std::move(options)),
      log_(log),
      shims_(io_, log,
             {[this](const ckpt_hello& hello) { handle(RankHello{hello}); },
              [this](std::int32_t rank, ShimFrame frame) {
                handle(RankSaid{rank, std::move(frame)});
              },
              [this](std::int32_t rank, const std::string& how) { handle(RankClosed{rank, how}); }}),
      coordinator_(std::make_shared<CoordinatorLink>(
          io_, log, options_.job_directory,
          CoordinatorLink::Callbacks{[this] { handle(CoordinatorUp{}); },
                                     [this] { handle(CoordinatorLost{}); },
                                     [this](wire::Message message) {
                                       handle(CoordinatorSaid{std::move(message)});
                                     }})),
      signals_(io_),
      parent_(io_),
      ticker_(io_),
      worker_(io_, log, [this](const Event& event) { handle(event); }) {}

Status Agent::run() {
  if (auto done = shims_.listen(options_.socket_path); !done) return done;
  if (auto done = watch_parent(); !done) return done;
  watch_signals();
  if (auto done = report_ready(); !done) return done;
  log_.info("agent_started", {{"pid", ::getpid()}, {"socket", options_.socket_path}});
  coordinator_->start();
  while (!ending_) {
    try {
      io_.restart();
      io_.run();
      break;
    } catch (const std::exception& problem) {  // memory, in practice
      log_.error("handler_failed", {{"cause", problem.what()}});
    }
  }
  return {};
}

Status Agent::watch_parent() {
  if (options_.parent_pid == 0) return {};
  const std::string subject = "parent " + std::to_string(options_.parent_pid);
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, options_.parent_pid, 0));
  if (fd < 0) return fail_errno("pidfd_open", subject);
  boost::system::error_code error;
  parent_.assign(fd, error);
  if (error) return fail("watch", subject, error.message(), error.value());
  parent_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](auto failed) {
    if (!failed) end("the parent is gone");
  });
  return {};
}

Status Agent::report_ready() {
  if (options_.ready_fd < 0) return {};
  static constexpr char kReady[] = "ready\n";
  if (::write(options_.ready_fd, kReady, sizeof kReady - 1) < 0)
    return fail_errno("write", "ready descriptor " + std::to_string(options_.ready_fd));
  ::close(options_.ready_fd);
  return {};
}

void Agent::watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.async_wait([this](auto error, int signal) {
    if (!error) end("signal " + std::to_string(signal));
  });
}

void Agent::handle(const Event& event) {
  if (ending_) return;
  for (const Action& action : state_.step(event)) {
    std::visit([this](const auto& one) { perform(one); }, action);
    if (ending_) return;
  }
}

void Agent::perform(const ToRank& action) { shims_.send(action.rank, action.order); }

void Agent::perform(const ToCoordinator& action) { coordinator_->send(action.message); }

void Agent::perform(const Freeze& action) {
  std::vector<snapshot::RankRequest> requests;
  for (const RankToFreeze& rank : action.ranks) {
    const ShimListener::RankFacts* facts = shims_.facts(rank.rank);
    if (facts == nullptr) continue;  // its end is on its way to the coordinator
    snapshot::RankRequest request;
    request.rank = rank.rank;
    request.pid = facts->pid;
    request.restart_block = facts->hello.restart_block;
    request.channel_fd = facts->hello.channel_fd;
    request.logged_messages = rank.logged_messages;
    request.logged_bytes = rank.logged_bytes;
    request.own_files.insert(facts->status_file);
    request.skip_unsupported = options_.skip_descriptors;
    requests.push_back(std::move(request));
  }
  worker_.freeze(action.order, std::move(requests));
}

void Agent::perform(const Write& action) {
  worker_.write(action.generation);
  ticker_.expires_after(kProgressEvery);
  tick();
}

void Agent::tick() {
  ticker_.async_wait([this](auto error) {
    if (error || state_.phase() != RelayState::Phase::writing) return;
    if (const auto progress = worker_.progress()) handle(*progress);
    ticker_.expires_after(kProgressEvery);
    tick();
  });
}

void Agent::perform(const DropSnapshot& action) {
  ticker_.cancel();
  worker_.drop(action.committed);
}

void Agent::perform(const AnswerHoldUp& action) {
  wire::HoldUpAnswer answer;
  answer.generation = action.query.generation;
  answer.query = action.query.query;
  for (const std::int32_t rank : action.query.ranks) {
    wire::RankActivity activity;
    if (shims_.activity(rank, activity)) answer.ranks.push_back(std::move(activity));
  }
  coordinator_->send(answer);
}

void Agent::perform(const EndAgent& action) { end(action.reason); }

void Agent::end(const std::string& reason) {
  if (ending_) return;
  log_.info("agent_ended", {{"reason", reason}});
  // The ranks are told first; a shim whose channel ends opens its doors anyway.
  handle(CoordinatorLost{});
  ending_ = true;
  coordinator_->stop();
  worker_.drop(false);
  boost::asio::post(io_, [this] {
    shims_.close();
    io_.stop();
  });
}

}  // namespace ckpt::relay
