// Carries out what the step functions decided; the commit: commit.cpp.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "coordinator/server/guarded.hpp"
#include "coordinator/server/server.hpp"
#include "coordinator/version.hpp"
#include "format/image/generation_writer.hpp"
#include "format/wire/rank_runs.hpp"

namespace ckpt::coordinator {

namespace {

std::int64_t wall_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::uint64_t ns_between(std::chrono::steady_clock::time_point from,
                         std::chrono::steady_clock::time_point to) {
  return from < to ? static_cast<std::uint64_t>(
                         std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count())
                   : 0;
}

}  // namespace

void Server::request(const Connection::Pointer& connection,
                     const wire::CheckpointRequest& message) {
  const auto now = Clock::now();
  if (halting_) {
    wire::Outcome outcome;
    outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::not_ready);
    outcome.reason = "the job is ending";
    return connection->send(outcome);
  }
  waiting_.push_back(
      Waiting{connection, now, now + std::chrono::nanoseconds(message.ready_within_ns)});
  if (checkpoint_.state() != State::idle) return tell_progress(0, 0);  // joins it
  if (preparing_ && !storage_blocked()) return;                        // and this
  if (concluding_) return;                                             // or waits for the next
  check_readiness();
}

// Begins when all is ready; answers those whose patience has ended.
void Server::check_readiness() {
  if (waiting_.empty() || checkpoint_.state() != State::idle || halting_) return;
  const auto blocked = blocked_by();
  if (!blocked) {
    if (!preparing_ && !concluding_) prepare_checkpoint("request");
    return;
  }
  wire::Outcome outcome;
  outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::not_ready);
  outcome.reason = *blocked;
  const auto now = Clock::now();
  std::vector<Waiting> patient;
  auto next = Clock::time_point::max();
  for (const Waiting& each : waiting_) {
    const auto connection = each.connection.lock();
    if (!connection || connection->closed()) continue;
    if (each.ready_until <= now) {
      connection->send(outcome);
    } else {
      connection->send(wire::Progress{0, "waiting", 0, 0, *blocked});
      patient.push_back(each);
      next = std::min(next, each.ready_until);
    }
  }
  waiting_ = std::move(patient);
  if (waiting_.empty()) return;
  readiness_.expires_at(next);
  readiness_.async_wait([this](const boost::system::error_code& error) {
    if (!error) guarded(log_, "readiness", [&] { check_readiness(); });
  });
}

std::optional<std::string> Server::storage_blocked() const {
  // Long enough for any storage that works; short enough to be told of.
  const auto patience = std::min<std::chrono::milliseconds>(
      std::chrono::milliseconds(job_.options.timeout_ms), std::chrono::seconds(20));
  const auto waiting = storage_.waiting(Clock::now());
  if (waiting < patience) return std::nullopt;
  return "the storage of " + directory_.path() + " has not answered for " +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waiting).count()) + " s";
}

std::optional<std::string> Server::blocked_by() const {
  auto blocked = session_.blocked_by();
  return blocked ? blocked : storage_blocked();
}

// Looks for the number in the storage's own time, then begins.
void Server::prepare_checkpoint(const char* why) {
  preparing_ = true;
  storage_.run(
      [this]() -> Result<std::uint64_t> {
        if (Status ours = still_in_office(directory_, office_); !ours) {
          return tl::unexpected(ours.error());
        }
        return generations_.next_number();
      },
      [this, why](const Result<std::uint64_t>& number) {
        guarded(log_, "prepare", [&] {
          preparing_ = false;
          begin_checkpoint(why, number);
        });
      });
  deadline_.expires_after(std::chrono::milliseconds(job_.options.timeout_ms));
  deadline_.async_wait([this](const boost::system::error_code& error) {
    if (error || !preparing_) return;
    guarded(log_, "prepare", [&] {
      wire::Outcome outcome;
      outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::timed_out);
      outcome.reason = storage_blocked().value_or("the storage does not answer");
      log_.warning("checkpoint_failed", {{"cause", outcome.reason}});
      answer_waiting(outcome);
    });
  });
}

void Server::begin_checkpoint(const char* why, const Result<std::uint64_t>& next) {
  if (ended_ || halting_) return;
  if (!next) {
    if (next.error().code == kSuperseded) return leave_office(next.error().message());
    log_.error("checkpoint_failed", {{"cause", next.error()}});
    wire::Outcome outcome;
    outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::aborted);
    outcome.reason = next.error().message();
    answer_waiting(outcome);
    return;
  }
  if (session_.blocked_by()) return check_readiness();  // a rank went meanwhile
  last_number_ = std::max(last_number_ + 1, *next);
  const int tries = timing_.tries;
  timing_ = Timing{Clock::now(), {}, {}, 0, tries};
  ordered_.clear();
  nodes_ordered_.clear();
  committed_path_.clear();
  log_.info("checkpoint_begun", {{"generation", last_number_}, {"why", why}});
  carry_out(checkpoint_.step(Begin{last_number_, session_.world_size(), session_.participants()}));
}

void Server::take_news(const std::vector<SessionNews>& news) {
  for (const SessionNews& each : news) {
    if (std::holds_alternative<AllPresent>(each)) {
      log_.info("all_ranks_present", {{"world_size", session_.world_size()}});
      if (job_.world_size != session_.world_size()) {
        job_.world_size = session_.world_size();
        storage_.run([this, job = job_] { return directory_.write_job(job); },
                     [this](const Status& written) {
                       if (!written) log_.error("job_not_written", {{"cause", written.error()}});
                     });
      }
      report_("present");
      check_readiness();
    } else if (const auto* it = std::get_if<RestartComplete>(&each)) {
      log_.info("restart_complete", {{"generation", it->generation}});
    } else if (const auto* it = std::get_if<RanksDeparted>(&each)) {
      log_.info("rank_gone", {{"rank", wire::rank_list(it->ranks)}, {"how", it->description}});
    } else if (const auto* it = std::get_if<RankRejected>(&each)) {
      log_.warning("rank_rejected", {{"rank", it->rank}, {"cause", it->reason}});
    }
  }
}

void Server::carry_out(Actions actions) {
  for (Action& action : actions) {
    std::visit([this](const auto& held) { perform(held); }, action);
    action = Action();  // the markers of a big job are many: not all in memory twice
  }
}

void Server::perform(const Send& action) {
  const auto it = agents_.find(action.agent);
  if (it != agents_.end()) it->second->send(action.message);
}

void Server::perform(const OrderSnapshot& action) {
  const auto it = agents_.find(action.agent);
  if (it == agents_.end()) return;  // its AgentLost is on the way
  const std::uint64_t generation = checkpoint_.generation();
  if (timing_.taken_at_ns == 0) timing_.taken_at_ns = wall_clock_ns();
  const image::Writer writer{office_.number, office_.term};
  std::string file = generations_.path_of(generation);
  if (!action.only) {
    // Two agents of one host name must not write one file.
    std::string name = action.node.substr(0, 64);
    while (!nodes_ordered_.insert(name).second) name += "-" + std::to_string(action.agent);
    file = directory_.file(image::node_file_name(generation, name));
  }
  wire::Snapshot snapshot;
  snapshot.generation = generation;
  snapshot.partial_path = image::partial_path(file, writer);
  snapshot.job = job_.name;
  snapshot.command = job_.command;
  snapshot.environment = job_.environment;
  snapshot.cwd = job_.cwd;
  snapshot.world_size = session_.world_size();
  snapshot.taken_at_ns = timing_.taken_at_ns;
  snapshot.program_version = kVersion;
  ordered_[action.agent] = snapshot.partial_path;
  it->second->send(snapshot);
}

void Server::perform(const Entered& action) {
  const auto now = Clock::now();
  if (action.state == State::cut) timing_.cut = now;
  if (action.state == State::flush) timing_.resumed = now;
  log_.debug("state", {{"generation", checkpoint_.generation()},
                       {"state", state_name(action.state)},
                       {"after_ns", ns_between(timing_.begun, now)}});
  if (action.state == State::quiesce) arm_tick();
  arm_deadline(action.entry);
  tell_progress(0, 0);
}

void Server::perform(const FlushAdvanced& action) {
  arm_deadline(action.entry);
  tell_progress(action.bytes_done, action.bytes_total);
}

void Server::perform(const CallForTargets&) {
  // Behind the handlers that are ready now.
  boost::asio::post(io_, [this] {
    guarded(log_, "targets", [&] { carry_out(checkpoint_.step(TargetsDue{})); });
  });
}

void Server::arm_deadline(std::uint64_t entry) {
  deadline_.expires_after(std::chrono::milliseconds(job_.options.timeout_ms));
  deadline_.async_wait([this, entry](const boost::system::error_code& error) {
    if (error) return;
    guarded(log_, "deadline", [&] { carry_out(checkpoint_.step(Deadline{entry})); });
  });
}

void Server::arm_tick() {
  // Often enough that the reason of a passed deadline is known in time.
  const std::uint64_t period = std::clamp<std::uint64_t>(job_.options.timeout_ms / 8, 10, 250);
  tick_.expires_after(std::chrono::milliseconds(period));
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error || checkpoint_.state() == State::idle) return;
    guarded(log_, "tick", [&] { carry_out(checkpoint_.step(Tick{})); });
    arm_tick();
  });
}

void Server::perform(const Ended& action) {
  deadline_.cancel();
  tick_.cancel();
  if (commit_given_up_ && action.verdict != wire::Verdict::committed) *commit_given_up_ = true;
  commit_given_up_.reset();
  const auto now = Clock::now();
  wire::Outcome outcome;
  outcome.verdict = static_cast<std::uint32_t>(action.verdict);
  outcome.generation = action.generation;
  outcome.reason = action.reason;
  outcome.frozen_ns = action.frozen_ns;
  outcome.bytes = action.bytes;
  outcome.duration_ns = ns_between(timing_.begun, now);
  if (timing_.cut != Clock::time_point()) {
    outcome.downtime_ns =
        ns_between(timing_.cut, timing_.resumed == Clock::time_point() ? now : timing_.resumed);
  }
  const bool committed = action.verdict == wire::Verdict::committed;
  if (committed) {
    outcome.path = committed_path_;
    ++commits_;
    cost_.add(static_cast<double>(outcome.downtime_ns) / 1e9,
              static_cast<double>(outcome.duration_ns) / 1e9);
    log_.info("committed", {{"generation", outcome.generation},
                            {"bytes", outcome.bytes},
                            {"downtime_ns", outcome.downtime_ns},
                            {"frozen_ns", outcome.frozen_ns},
                            {"duration_ns", outcome.duration_ns},
                            {"logged_messages", action.logged_messages},
                            {"logged_bytes", action.logged_bytes},
                            {"releases", action.releases}});
  } else {
    ++failures_;
    log_.warning("aborted", {{"generation", outcome.generation},
                             {"state", state_name(action.during)},
                             {"cause", action.reason}});
  }
  last_ = LastOutcome{outcome, wall_clock_ns(), action.during};
  concluded_ = std::exchange(waiting_, {});
  if (committed) return finish(action, outcome);
  if (halting_) {
    remove_partials([] {});
    return finish(action, outcome);
  }
  concluding_ = true;
  remove_partials([this, action, outcome] { finish(action, outcome); });
}

// A dead agent cannot remove what it wrote; a live one removes it as well. Who
// waits for the answer finds the files gone, unless the storage hangs.
void Server::remove_partials(std::function<void()> then) {
  constexpr std::chrono::seconds kPatience{2};
  auto timer = std::make_shared<boost::asio::steady_timer>(io_, kPatience);
  const auto once = [this, done = std::make_shared<bool>(false), then = std::move(then), timer] {
    if (std::exchange(*done, true)) return;
    guarded(log_, "ended", [&] { then(); });
    timer->cancel();
  };
  timer->async_wait([once](const boost::system::error_code&) { once(); });
  storage_.run(
      [this, ordered = ordered_] {
        for (const auto& [agent, path] : ordered) static_cast<void>(files_.unlink(path));
        return true;
      },
      [once](bool) { once(); });
}

void Server::finish(const Ended& action, const wire::Outcome& outcome) {
  if (ended_) return;
  concluding_ = false;
  const bool committed = action.verdict == wire::Verdict::committed;
  constexpr int kTries = 5;
  if (action.again && ++timing_.tries < kTries && !halting_ && !session_.blocked_by()) {
    waiting_.insert(waiting_.begin(), concluded_.begin(), concluded_.end());
    concluded_.clear();
    prepare_checkpoint("again");
    return;
  }
  timing_.tries = 0;
  answer(concluded_, outcome);
  if (committed) prune();
  if (job_.options.every_auto) plan_next(timing_.begun);
  if (halting_) return end();
  check_readiness();  // of those who came since
}

void Server::prune() {
  pruning_.run([this] { return generations_.prune(job_.options.keep); },
               [this](const Result<std::vector<std::uint64_t>>& removed) {
                 if (!removed) {
                   log_.error("prune_failed", {{"cause", removed.error()}});
                   return;
                 }
                 for (const std::uint64_t number : *removed) {
                   log_.info("pruned", {{"generation", number}});
                 }
               });
}

void Server::answer_waiting(const wire::Outcome& outcome) { answer(waiting_, outcome); }

void Server::answer(std::vector<Waiting>& whom, const wire::Outcome& outcome) {
  for (const Waiting& each : std::exchange(whom, {})) {
    if (const auto connection = each.connection.lock()) connection->send(outcome);
  }
}

void Server::tell_progress(std::uint64_t bytes_done, std::uint64_t bytes_total) {
  if (waiting_.empty()) return;
  const State state = checkpoint_.state();
  const wire::Progress progress{checkpoint_.generation(), state_name(state), bytes_done,
                                bytes_total, state_waits_for(state)};
  for (const Waiting& each : waiting_) {
    if (const auto connection = each.connection.lock()) connection->send(progress);
  }
}

}  // namespace ckpt::coordinator
