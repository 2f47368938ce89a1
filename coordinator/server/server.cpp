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
constexpr std::size_t kMaxStrangers = 64;  // connections that have not said hello
constexpr auto kHelloTime = std::chrono::seconds(10);
}  // namespace

Server::Server(const JobDirectory& directory, JobDescription job, FileSystem& files, EventLog& log)
    : directory_(directory),
      job_(std::move(job)),
      files_(files),
      log_(log),
      generations_(files, directory.path()) {}

Status Server::start() {
  auto swept = generations_.sweep_partial();
  if (!swept) return with_context(swept.error(), "sweep", directory_.path());
  for (const std::string& name : *swept) log_.warning("swept", {{"file", name}});
  auto secret = make_secret();
  if (!secret) return tl::unexpected(secret.error());
  secret_ = std::move(*secret);
  try {
    const tcp::endpoint loopback(asio::ip::address_v4::loopback(), 0);
    acceptor_.open(loopback.protocol());
    acceptor_.bind(loopback);
    acceptor_.listen();
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
  } catch (const std::exception& problem) {
    return fail("listen", "127.0.0.1", problem.what());
  }
  CoordinatorAddress address{"127.0.0.1", acceptor_.local_endpoint().port(), ::getpid(), secret_};
  if (Status written = directory_.write_coordinator(address); !written) return written;
  log_.info("coordinator_started", {{"job", directory_.name()},
                                    {"pid", ::getpid()},
                                    {"port", address.port},
                                    {"every_s", job_.options.every_seconds},
                                    {"keep", job_.options.keep},
                                    {"timeout_ms", job_.options.timeout_ms}});
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (!error) {
      guarded(log_, "signal", [&] { halt("signal " + std::to_string(signal), false); });
    }
  });
  accept();
  arm_every();
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

void Server::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || ended_) return;
    guarded(log_, "accept", [&] {
      if (error) {
        log_.warning("accept_failed", {{"cause", error.message()}});
        return;
      }
      const auto strangers =
          std::count_if(connections_.begin(), connections_.end(), [](const auto& each) {
            return each->peer() == Connection::Peer::unknown;
          });
      if (static_cast<std::size_t>(strangers) >= kMaxStrangers) return;  // drops the socket
      auto connection = std::make_shared<Connection>(
          std::move(socket),
          Connection::Callbacks{
              [this](const Connection::Pointer& from, const wire::Message& message) {
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
    });
    accept();
  });
}

void Server::on_message(const Connection::Pointer& connection, const wire::Message& message) {
  guarded(log_, "message", [&] {
    const auto sender = wire::message_sender(message);
    switch (connection->peer()) {
      case Connection::Peer::unknown:
        return admit(connection, message);
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
  const std::string& secret = agent != nullptr ? agent->secret : control->secret;
  const std::uint32_t version = agent != nullptr ? agent->version : control->version;
  if (!same_secret(secret, secret_)) {
    log_.warning("wrong_secret", {{"from", agent != nullptr ? "agent" : "control"}});
    return connection->close("wrong secret");
  }
  if (version != wire::kProtocolVersion) {
    log_.warning("wrong_version", {{"theirs", version}, {"ours", wire::kProtocolVersion}});
    return connection->close("wrong version");
  }
  if (control != nullptr) {
    connection->accept_as(Connection::Peer::control, 0);
    connection->send(wire::ControlWelcome{wire::kProtocolVersion, ::getpid()});
    return;
  }
  const std::uint32_t number = next_agent_++;
  connection->accept_as(Connection::Peer::agent, number);
  agents_[number] = connection;
  session_.agent_joined(number, agent->node, agent->pid);
  log_.info("agent_joined", {{"agent", number}, {"node", agent->node}, {"pid", agent->pid}});
  connection->send(wire::AgentWelcome{wire::kProtocolVersion, number, ::getpid()});
}

void Server::on_closed(const Connection::Pointer& connection, const std::string& reason) {
  guarded(log_, "closed", [&] {
    connections_.erase(connection);
    if (connection->peer() == Connection::Peer::agent) {
      const std::uint32_t number = connection->number();
      agents_.erase(number);
      log_.write(halting_ ? LogLevel::info : LogLevel::warning, "agent_gone",
                 {{"agent", number}, {"cause", reason}});
      take_news(session_.agent_lost(number, reason));
      carry_out(checkpoint_.step(AgentLost{number, reason}));
    }
    if (ended_) stop_when_sent();
  });
}

void Server::from_agent(const Connection::Pointer& connection, const wire::Message& message) {
  const std::uint32_t agent = connection->number();
  take_news(session_.step(agent, message));
  carry_out(checkpoint_.step(FromAgent{agent, message}));
}

void Server::from_control(const Connection::Pointer& connection, const wire::Message& message) {
  if (const auto* it = std::get_if<wire::CheckpointRequest>(&message)) {
    request(connection, *it);
  } else if (std::holds_alternative<wire::StatusRequest>(message)) {
    connection->send(wire::JobStatus{status_json()});
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

void Server::end() {
  if (ended_) return;
  ended_ = true;
  log_.info("coordinator_ended", {{"reason", halt_reason_}, {"commits", commits_}});
  directory_.remove_coordinator();
  wire::Outcome outcome;
  outcome.verdict = static_cast<std::uint32_t>(wire::Verdict::aborted);
  outcome.reason = "the coordinator ends: " + halt_reason_;
  answer_waiting(outcome);
  for (const auto& [number, connection] : agents_) connection->send(wire::Shutdown{halt_reason_});
  boost::system::error_code ignored;  // nothing is accepted any more in any case
  acceptor_.close(ignored);
  signals_.cancel(ignored);
  for (auto* timer : {&deadline_, &tick_, &every_, &readiness_}) timer->cancel();
  stop_when_sent();
}

// Agents close their connections after Shutdown; who does not is not waited for long.
void Server::stop_when_sent() {
  constexpr int kChecks = 40;
  const bool all_gone = agents_.empty();
  const bool sent = std::all_of(connections_.begin(), connections_.end(),
                                [](const auto& each) { return each->everything_sent(); });
  if ((all_gone && sent) || ++stop_checks_ > kChecks) return io_.stop();
  ending_.expires_after(std::chrono::milliseconds(50));
  ending_.async_wait([this](const boost::system::error_code& error) {
    if (!error) stop_when_sent();
  });
}

void Server::arm_every() {
  if (job_.options.every_seconds == 0) return;
  const auto period = std::chrono::seconds(job_.options.every_seconds);
  next_every_ = Clock::now() + period;
  every_.expires_at(next_every_);
  every_.async_wait([this](const boost::system::error_code& error) {
    if (error || ended_ || halting_) return;
    guarded(log_, "every", [&] {
      const auto blocked = session_.blocked_by();
      if (blocked) {
        log_.info("periodic_skipped", {{"reason", *blocked}});
      } else if (checkpoint_.state() == State::idle) {
        begin_checkpoint("every");
      }
    });
    arm_every();
  });
}

}  // namespace ckpt::coordinator
