// Carries out what the step functions decided.
#include <algorithm>
#include <chrono>

#include "coordinator/server/guarded.hpp"
#include "coordinator/server/server.hpp"
#include "coordinator/version.hpp"
#include "format/image/generation_writer.hpp"

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
  check_readiness();
}

// Begins when all is ready; answers those whose patience has ended.
void Server::check_readiness() {
  if (waiting_.empty() || checkpoint_.state() != State::idle || halting_) return;
  const auto blocked = session_.blocked_by();
  if (!blocked) {
    begin_checkpoint("request");
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

bool Server::begin_checkpoint(const char* why) {
  const auto next = generations_.next_number();
  if (!next) {
    log_.error("checkpoint_failed", {{"cause", next.error()}});
    wire::Outcome outcome;
    outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::aborted);
    outcome.reason = next.error().message();
    answer_waiting(outcome);
    return false;
  }
  last_number_ = std::max(last_number_ + 1, *next);
  const int tries = timing_.tries;
  timing_ = Timing{Clock::now(), {}, {}, 0, tries};
  ordered_.clear();
  committed_path_.clear();
  log_.info("checkpoint_begun", {{"generation", last_number_}, {"why", why}});
  carry_out(checkpoint_.step(Begin{last_number_, session_.world_size(), session_.participants()}));
  return true;
}

void Server::take_news(const std::vector<SessionNews>& news) {
  for (const SessionNews& each : news) {
    if (std::holds_alternative<AllPresent>(each)) {
      log_.info("all_ranks_present", {{"world_size", session_.world_size()}});
      if (job_.world_size != session_.world_size()) {
        job_.world_size = session_.world_size();
        if (Status written = directory_.write_job(job_); !written) {
          log_.error("job_not_written", {{"cause", written.error()}});
        }
      }
      check_readiness();
    } else if (const auto* it = std::get_if<RestartComplete>(&each)) {
      log_.info("restart_complete", {{"generation", it->generation}});
    } else if (const auto* it = std::get_if<RankDeparted>(&each)) {
      log_.info("rank_gone", {{"rank", it->rank}, {"how", it->description}});
    } else if (const auto* it = std::get_if<RankRejected>(&each)) {
      log_.warning("rank_rejected", {{"rank", it->rank}, {"cause", it->reason}});
    }
  }
}

void Server::carry_out(Actions actions) {
  for (const Action& action : actions) {
    std::visit([this](const auto& held) { perform(held); }, action);
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
  std::string file = generations_.path_of(generation);
  if (!action.only) {
    file = directory_.file(image::node_file_name(generation, action.node));
    const std::string partial = image::partial_path(file);
    // Two agents of one host name must not write one file.
    const bool taken = std::any_of(ordered_.begin(), ordered_.end(),
                                   [&](const auto& each) { return each.second == partial; });
    if (taken) {
      file = directory_.file(image::node_file_name(
          generation, action.node + "-" + std::to_string(action.agent)));
    }
  }
  wire::Snapshot snapshot;
  snapshot.generation = generation;
  snapshot.partial_path = image::partial_path(file);
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

void Server::arm_deadline(std::uint64_t entry) {
  deadline_.expires_after(std::chrono::milliseconds(job_.options.timeout_ms));
  deadline_.async_wait([this, entry](const boost::system::error_code& error) {
    if (error) return;
    guarded(log_, "deadline", [&] { carry_out(checkpoint_.step(Deadline{entry})); });
  });
}

void Server::arm_tick() {
  // Often enough that the reason of a passed deadline is known in time.
  const std::uint64_t period =
      std::clamp<std::uint64_t>(job_.options.timeout_ms / 8, 10, 250);
  tick_.expires_after(std::chrono::milliseconds(period));
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error || checkpoint_.state() == State::idle) return;
    guarded(log_, "tick", [&] { carry_out(checkpoint_.step(Tick{})); });
    arm_tick();
  });
}

void Server::perform(const Commit& action) {
  const Result<std::string> path = make_visible(action);
  if (path) committed_path_ = *path;
  carry_out(checkpoint_.step(
      CommitEnded{path.has_value(), path ? std::string() : path.error().message()}));
}

Result<std::string> Server::make_visible(const Commit& action) {
  const std::string path = generations_.path_of(action.generation);
  for (const Part& part : action.parts) {
    if (ordered_[part.agent] != part.path) {
      return fail("commit", path, "agent on " + part.node + " wrote " + part.path);
    }
  }
  if (action.parts.size() == 1) {
    if (Status done = image::commit_generation(files_, action.parts[0].path, path); !done) {
      return tl::unexpected(done.error());
    }
    return path;
  }
  std::vector<image::NodeFile> nodes;
  const auto give_up = [&](const Error& error) -> Failure {
    // Where the last step failed behind its rename the generation can be seen,
    // and links to the nodes' files.
    if (files_.stat(path)) return tl::unexpected(error);
    for (const image::NodeFile& node : nodes) static_cast<void>(files_.unlink(node.path));
    static_cast<void>(files_.unlink(image::partial_path(path)));
    return tl::unexpected(error);
  };
  for (const Part& part : action.parts) {
    const std::string suffix = image::partial_path("");
    const std::string final_path = part.path.substr(0, part.path.size() - suffix.size());
    // A file that is in the way is not ours to remove: only what was made visible is.
    if (Status done = image::commit_generation(files_, part.path, final_path); !done) {
      return give_up(done.error());
    }
    nodes.push_back(image::NodeFile{final_path, part.ranks});
  }
  image::JobRecord record{job_.name, job_.command, job_.environment, job_.cwd,
                          session_.world_size(), action.generation, timing_.taken_at_ns, kVersion};
  const std::string partial = image::partial_path(path);
  if (Status done = image::link_generation(files_, partial, record, nodes); !done) {
    return give_up(done.error());
  }
  if (Status done = image::commit_generation(files_, partial, path); !done) {
    return give_up(done.error());
  }
  return path;
}

void Server::perform(const Ended& action) {
  deadline_.cancel();
  tick_.cancel();
  const auto now = Clock::now();
  wire::Outcome outcome;
  outcome.verdict = static_cast<std::uint32_t>(action.verdict);
  outcome.generation = action.generation;
  outcome.reason = action.reason;
  outcome.frozen_ns = action.frozen_ns;
  outcome.bytes = action.bytes;
  outcome.duration_ns = ns_between(timing_.begun, now);
  if (timing_.cut != Clock::time_point()) {
    outcome.downtime_ns = ns_between(timing_.cut, timing_.resumed == Clock::time_point()
                                                      ? now
                                                      : timing_.resumed);
  }
  const bool committed = action.verdict == wire::Verdict::committed;
  if (committed) {
    outcome.path = committed_path_;
    ++commits_;
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
    // A dead agent cannot remove what it wrote; a live one removes it as well.
    for (const auto& [agent, path] : ordered_) static_cast<void>(files_.unlink(path));
  }
  last_ = LastOutcome{outcome, wall_clock_ns(), action.during};
  constexpr int kTries = 5;
  if (action.again && ++timing_.tries < kTries && !halting_ && !session_.blocked_by()) {
    begin_checkpoint("again");
    return;
  }
  timing_.tries = 0;
  answer_waiting(outcome);
  if (committed) prune();
  if (halting_) end();
}

void Server::prune() {
  const auto removed = generations_.prune(job_.options.keep);
  if (!removed) {
    log_.error("prune_failed", {{"cause", removed.error()}});
    return;
  }
  for (const std::uint64_t number : *removed) log_.info("pruned", {{"generation", number}});
}

void Server::answer_waiting(const wire::Outcome& outcome) {
  std::vector<Waiting> waiting;
  waiting.swap(waiting_);
  for (const Waiting& each : waiting) {
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
