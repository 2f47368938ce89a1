#include "agent/relay/agent.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

namespace ckpt::relay {
namespace {

constexpr std::chrono::seconds kProgressEvery{1};
constexpr std::size_t kRanksNamed = 4;  // of those that hold something up
// For what is in hand; a thread that storage holds up is not waited for any longer.
constexpr std::chrono::seconds kEndsWithin{5};

void end_within(std::chrono::seconds time, std::function<void()> last) {
  try {
    std::thread([time, last = std::move(last)] {
      std::this_thread::sleep_for(time);
      last();
      ::_exit(0);
    }).detach();
  } catch (const std::exception&) {  // no thread: then it ends when it can
  }
}

}  // namespace

Agent::Agent(AgentOptions options, EventLog& log)
    : options_(std::move(options)),
      log_(log),
      shims_(io_, log,
             {[this](const ckpt_hello& hello) { handle(RankHello{hello}); },
              [this](std::int32_t rank, ShimFrame frame) {
                handle(RankSaid{rank, std::move(frame)});
              },
              [this](std::int32_t rank, const std::string& how) {
                handle(RankClosed{rank, how});
              }}),
      coordinator_(std::make_shared<CoordinatorLink>(
          io_, log, options_.job_directory, incarnation_of_variable(options_.incarnation).number,
          CoordinatorLink::Callbacks{
              [this] {
                coordinator_is(Solitude::Coordinator::connected);
                handle(CoordinatorUp{});
              },
              [this] { handle(CoordinatorLost{}); },
              [this](bool ended) {
                coordinator_is(ended ? Solitude::Coordinator::ended
                                     : Solitude::Coordinator::unreachable);
              },
              [this](wire::Message message) { handle(CoordinatorSaid{std::move(message)}); }})),
      signals_(io_),
      ticker_(io_),
      solitary_(io_),
      reassuring_(io_),
      incarnation_(io_, options_.job_directory, incarnation_of_variable(options_.incarnation),
                   [this] { superseded(); }),
      worker_(io_, log, [this](const Event& event) { handle(event); }) {}

Status Agent::run() {
  auto claimed = NodeDirectory::claim(options_.socket_path, options_.lock_fd);
  if (!claimed) return tl::unexpected(claimed.error());
  node_directory_.emplace(std::move(*claimed));
  if (auto done = shims_.listen(options_.socket_path); !done) return done;
  watch_signals();
  log_.info("agent_started", {{"pid", ::getpid()}, {"socket", options_.socket_path}});
  consider_solitude();
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
  const bool held_up = state_.ranks_held_up();
  if (!held_up) reassuring_.cancel();
  if (held_up && !std::exchange(held_up_, held_up)) reassure_ranks();
  held_up_ = held_up;
  if (std::holds_alternative<RankHello>(event) || std::holds_alternative<RankClosed>(event)) {
    solitude_.ranks(state_.ranks(), std::chrono::steady_clock::now());
    consider_solitude();
  }
}

void Agent::coordinator_is(Solitude::Coordinator state) {
  solitude_.coordinator(state, std::chrono::steady_clock::now());
  consider_solitude();
}

void Agent::consider_solitude() {
  const auto ends_at = solitude_.ends_at();
  if (!ends_at) {
    solitary_.cancel();
    return;
  }
  solitary_.expires_at(*ends_at);
  solitary_.async_wait([this](auto error) {
    // A handler that was on its way when things changed finds that here.
    const auto still = solitude_.ends_at();
    if (!error && still && *still <= std::chrono::steady_clock::now())
      end("no rank and no coordinator is left");
  });
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
  reassure_ranks_later();  // not now: a rank that reads a frame cannot be copied
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

// Ranks that wait for this agent do so as long as they hear of it.
void Agent::reassure_ranks() {
  if (coordinator_->silence_ms() > 0) shims_.say_alive(coordinator_->silence_ms());
  reassure_ranks_later();
}

void Agent::reassure_ranks_later() {
  const std::uint32_t silence_ms = coordinator_->silence_ms();
  if (silence_ms == 0) return;
  reassuring_.expires_after(
      std::chrono::milliseconds(std::max(silence_ms / CoordinatorSilence::kTicksToLose, 1u)));
  reassuring_.async_wait([this](auto error) {
    if (!error && state_.ranks_held_up()) reassure_ranks();
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
  for (const std::int32_t rank : action.awaited) {
    wire::RankActivity activity;
    if (!shims_.activity(rank, activity)) continue;
    ++answer.awaited;
    if (!activity.inside.empty()) ++answer.blocked;
    if (answer.ranks.size() < kRanksNamed) answer.ranks.push_back(std::move(activity));
  }
  coordinator_->send(answer);
}

void Agent::perform(const CallForNews&) {
  // Behind the handlers that are ready now.
  boost::asio::post(io_, [this] { handle(NewsDue{}); });
}

void Agent::perform(const EndAgent& action) { end(action.reason); }

// A newer start of the job has taken over: what runs here is a second copy of it.
void Agent::superseded() {
  if (ending_) return;
  log_.error("superseded", {{"ours", options_.incarnation}, {"ranks_killed", shims_.kill_ranks()}});
  end("a newer start of the job has taken over");
}

void Agent::end(const std::string& reason) {
  if (ending_) return;
  log_.info("agent_ended", {{"reason", reason}});
  // The ranks are told first; a shim whose channel ends opens its doors anyway.
  handle(CoordinatorLost{});
  ending_ = true;
  end_within(kEndsWithin, node_directory_->remover());
  coordinator_->stop();
  solitary_.cancel();
  worker_.drop(false);
  boost::asio::post(io_, [this] {
    shims_.close();
    io_.stop();
  });
}

}  // namespace ckpt::relay
