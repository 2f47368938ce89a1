// Connections and life of the coordinator; what a checkpoint does: checkpoints.cpp.
#include "coordinator/server/server.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "coordinator/server/guarded.hpp"

namespace ckpt::coordinator {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {
constexpr auto kHelloTime = std::chrono::seconds(10);
constexpr auto kGoodbyeTime = std::chrono::seconds(2);
constexpr auto kGoodbyeTimeEach = std::chrono::milliseconds(2);
}  // namespace

Server::Server(const JobDirectory& directory, JobDescription job, FileSystem& files, EventLog& log,
               std::function<void(const std::string&)> report)
    : directory_(directory),
      job_(std::move(job)),
      files_(files),
      log_(log),
      generations_(files, directory.path()),
      listener_(io_, log,
                [this](std::unique_ptr<tls::Stream> stream) { greet(std::move(stream)); }),
      wide_listener_(io_, log,
                     [this](std::unique_ptr<tls::Stream> stream) { greet(std::move(stream)); }),
      report_(std::move(report)) {}

Status Server::start(const Incarnation* of) {
  // In this order: who commits asks for the term right before its rename, and
  // what it could rename is swept behind the new term.
  auto office = raise_term(files_, directory_, of);
  if (!office) return tl::unexpected(office.error());
  office_ = std::move(*office);
  auto swept = generations_.sweep_partial({office_.number, office_.term});
  if (!swept) return with_context(swept.error(), "sweep", directory_.path());
  for (const std::string& name : *swept) {
    log_.warning("swept", {{"file", name}});
    // The older coordinator may still be about to remove what has this number.
    last_number_ = std::max(last_number_, image::generation_number_of(name).value_or(0));
  }
  const auto key = tls::JobKey::make();
  if (!key) return tl::unexpected(key.error());
  key_ = *key;
  const tcp::endpoint loopback(asio::ip::address_v4::loopback(), 0);
  if (Status open = listener_.open(loopback, *key); !open) return open;
  if (job_.options.listen == "all") {
    if (Status wide = listen_for_all(); !wide) return wide;
  }
  try {
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
  } catch (const std::exception& problem) {
    return fail("watch", "signals", problem.what());
  }
  const auto address = own_address();
  if (!address) return tl::unexpected(address.error());
  if (Status written = directory_.write_coordinator(*address); !written) return written;
  log_.info("coordinator_started", {{"job", directory_.name()},
                                    {"pid", ::getpid()},
                                    {"port", wide_ ? wide_listener_.port() : listener_.port()},
                                    {"for_all_nodes", wide_},
                                    {"incarnation", office_.number},
                                    {"term", office_.term},
                                    {"every_s", job_.options.every_seconds},
                                    {"keep", job_.options.keep},
                                    {"timeout_ms", job_.options.timeout_ms}});
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (!error) {
      guarded(log_, "signal", [&] { halt("signal " + std::to_string(signal), false); });
    }
  });
  plan_next(Clock::now());
  arm_heartbeat();
  if (job_.options.listen == "auto") arm_widening();
  return {};
}

void Server::run() {
  // Handlers catch their own; what still comes out must not end the coordinator.
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception& problem) {
      log_.error("handler_failed", {{"cause", problem.what()}});
    }
  }
}

void Server::greet(std::unique_ptr<tls::Stream> stream) {
  if (ended_) return;
  auto connection = std::make_shared<Connection>(
      std::move(stream),
      Connection::Callbacks{[this](const Connection::Pointer& from, const wire::Message& message) {
                              on_message(from, message);
                            },
                            [this](const Connection::Pointer& from, const std::string& reason) {
                              on_closed(from, reason);
                            }});
  connections_.insert(connection);
  connection->start();
  auto timer = std::make_shared<asio::steady_timer>(io_, kHelloTime);
  timer->async_wait([timer, weak = std::weak_ptr(connection)](const auto&) {
    const auto held = weak.lock();
    if (held && held->peer() == Connection::Peer::unknown) held->close("said no hello");
  });
}

void Server::on_message(const Connection::Pointer& connection, const wire::Message& message) {
  guarded(log_, "message", [&] {
    const auto sender = wire::message_sender(message);
    switch (connection->peer()) {
      case Connection::Peer::unknown: return admit(connection, message);
      case Connection::Peer::agent:
        if (sender != wire::Side::agent) break;
        return from_agent(connection, message);
      case Connection::Peer::control:
        if (sender != wire::Side::control) break;
        return from_control(connection, message);
    }
    connection->close("sent " + std::string(wire::message_name(message)) + ", which is not its");
  });
}

void Server::admit(const Connection::Pointer& connection, const wire::Message& message) {
  const auto* agent = std::get_if<wire::AgentHello>(&message);
  const auto* control = std::get_if<wire::ControlHello>(&message);
  if (agent == nullptr && control == nullptr) return connection->close("said no hello");
  const std::uint32_t version = agent != nullptr ? agent->version : control->version;
  if (version != wire::kProtocolVersion) {
    log_.warning("wrong_version", {{"theirs", version}, {"ours", wire::kProtocolVersion}});
    return connection->close("wrong version");
  }
  if (control != nullptr) {
    connection->accept_as(Connection::Peer::control, 0);
    connection->send(wire::ControlWelcome{wire::kProtocolVersion, ::getpid()});
    return;
  }
  if (agent->incarnation != 0 && agent->incarnation != office_.number) {
    log_.warning("wrong_incarnation", {{"node", agent->node},
                                       {"pid", agent->pid},
                                       {"theirs", agent->incarnation},
                                       {"ours", office_.number}});
    return connection->close("it is of incarnation " + std::to_string(agent->incarnation));
  }
  const std::uint32_t number = next_agent_++;
  connection->accept_as(Connection::Peer::agent, number);
  agents_[number] = connection;
  session_.agent_joined(number, agent->node, agent->pid);
  liveness_.joined(number, agent->node);
  gone_nodes_.erase(agent->node);
  log_.info("agent_joined", {{"agent", number}, {"node", agent->node}, {"pid", agent->pid}});
  connection->send(wire::AgentWelcome{wire::kProtocolVersion, number, ::getpid(),
                                      static_cast<std::uint32_t>(job_.options.silence_ms)});
}

void Server::on_closed(const Connection::Pointer& connection, const std::string& reason) {
  guarded(log_, "closed", [&] {
    connections_.erase(connection);
    if (connection->peer() == Connection::Peer::agent) {
      const std::uint32_t number = connection->number();
      agents_.erase(number);
      liveness_.left(number);
      const auto record = session_.agents().find(number);
      // One that ends or is killed says nothing about its node.
      if (!halting_ && record != session_.agents().end() && has_ranks(number) &&
          connection->network_failed()) {
        gone_nodes_[record->second.node] = reason;
      }
      log_.write(halting_ ? LogLevel::info : LogLevel::warning, "agent_gone",
                 {{"agent", number}, {"cause", reason}});
      take_news(session_.agent_lost(number, reason));
      carry_out(checkpoint_.step(AgentLost{number, reason}));
      answer_surveys(number);
    }
    if (ended_ && agents_.empty()) stop_when_sent();
  });
}

void Server::from_agent(const Connection::Pointer& connection, const wire::Message& message) {
  const std::uint32_t agent = connection->number();
  perform(liveness_.heard(agent));
  answer_surveys(agent);
  const std::vector<SessionNews> news = session_.step(agent, message);
  carry_out(checkpoint_.step(FromAgent{agent, message}));
  // Last: it may begin a checkpoint, which this message came before.
  take_news(news);
}

void Server::from_control(const Connection::Pointer& connection, const wire::Message& message) {
  if (const auto* it = std::get_if<wire::CheckpointRequest>(&message)) {
    request(connection, *it);
  } else if (std::holds_alternative<wire::StatusRequest>(message)) {
    connection->send(wire::JobStatus{status_json()});
  } else if (std::holds_alternative<wire::NodesRequest>(message)) {
    survey(connection);
  } else if (const auto* it = std::get_if<wire::Halt>(&message)) {
    halt(it->reason, it->finish != 0);
  }
}

void Server::halt(const std::string& reason, bool finish) {
  if (ended_) return;
  halting_ = true;
  halt_reason_ = reason;
  const bool safe = checkpoint_.state() == State::flush || checkpoint_.state() == State::commit;
  if (finish && safe) {
    log_.info("finishing", {{"generation", checkpoint_.generation()}, {"reason", reason}});
    return;  // perform(Ended) comes back to end()
  }
  carry_out(checkpoint_.step(AbortRequest{reason}));
  end();
}

void Server::leave_office(const std::string& reason) {
  if (ended_) return;
  log_.error("superseded", {{"cause", reason}});
  superseded_ = halting_ = true;
  halt_reason_ = reason;
  carry_out(checkpoint_.step(AbortRequest{reason}));
  end();
}

void Server::end() {
  if (ended_) return;
  ended_ = true;
  log_.info("coordinator_ended", {{"reason", halt_reason_}, {"commits", commits_}});
  directory_.remove_coordinator(::getpid());
  wire::Outcome outcome;
  outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::aborted);
  outcome.reason = "the coordinator ends: " + halt_reason_;
  answer(concluded_, outcome);
  answer_waiting(outcome);
  for (const auto& [number, connection] : agents_) {
    // They look for the new one, or find themselves superseded as well.
    if (superseded_)
      connection->close(halt_reason_);
    else
      connection->send(wire::Shutdown{halt_reason_});
  }
  listener_.close();
  wide_listener_.close();
  boost::system::error_code ignored;  // none comes any more in any case
  signals_.cancel(ignored);
  for (auto* timer : {&deadline_, &tick_, &every_, &readiness_, &widening_, &heartbeat_}) {
    timer->cancel();
  }
  stop_by_ = Clock::now() + kGoodbyeTime + kGoodbyeTimeEach * static_cast<int>(agents_.size());
  stop_when_sent();
}

// Agents close their connections after Shutdown; who does not is not waited for long.
void Server::stop_when_sent() {
  const bool all_gone = agents_.empty();
  const bool sent = std::all_of(connections_.begin(), connections_.end(),
                                [](const auto& each) { return each->everything_sent(); });
  if ((all_gone && sent) || Clock::now() >= stop_by_) return io_.stop();
  ending_.expires_after(std::chrono::milliseconds(50));
  ending_.async_wait([this](const boost::system::error_code& error) {
    if (!error) stop_when_sent();
  });
}

// The next periodic checkpoint, counted `from` the beginning of the last one.
void Server::plan_next(Clock::time_point from) {
  plan_ = {static_cast<double>(job_.options.every_seconds), "as given"};
  if (job_.options.every_auto) {
    const double up = std::chrono::duration<double>(Clock::now() - started_).count();
    plan_ = plan_interval(
        cost_, {static_cast<double>(job_.options.mtbf_seconds), job_.ran_s + up, job_.failures});
  }
  if (plan_.interval_s <= 0 || ended_) return;
  const auto period =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(plan_.interval_s));
  next_every_ = std::max(from + period, Clock::now());
  arm_every();
}

void Server::arm_every() {
  every_.expires_at(next_every_);
  every_.async_wait([this](const boost::system::error_code& error) {
    if (error || ended_ || halting_) return;
    guarded(log_, "every", [&] {
      const auto blocked = blocked_by();
      if (blocked) {
        log_.info("periodic_skipped", {{"reason", *blocked}});
      } else if (checkpoint_.state() == State::idle && !preparing_ && !concluding_) {
        prepare_checkpoint("every");
      }
    });
    plan_next(Clock::now());
  });
}

}  // namespace ckpt::coordinator
