#include "agent/relay/coordinator_link.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>

namespace ckpt::relay {
namespace {

constexpr int kFirstPauseMs = 50, kLongestPauseMs = 2000;

}  // namespace

CoordinatorLink::CoordinatorLink(boost::asio::io_context& io, EventLog& log,
                                 const std::string& job_directory, std::uint64_t incarnation,
                                 Callbacks callbacks, std::string node)
    : io_(io),
      log_(log),
      file_(io, job_directory + "/coordinator.json",
            [this](const Result<wire::CoordinatorAddress>& address) { connect(address); }),
      incarnation_(incarnation),
      callbacks_(std::move(callbacks)),
      node_(std::move(node)),
      resolver_(io),
      timer_(io),
      watch_(io) {}

void CoordinatorLink::connect(const Result<wire::CoordinatorAddress>& address) {
  if (stopped_) return;
  constexpr Failed before = Failed::before_connect;
  if (!address) return retry(address.error().message(), before, address.error().code == ENOENT);
  const auto key = tls::JobKey::from_text(address->key);
  if (!key) return retry(key.error().message(), before);
  auto context = tls::make_stream_context(tls::Role::client, *key);
  if (!context) return retry(context.error().message(), before);
  const auto attempt = std::make_shared<Attempt>(io_, *context);
  attempt_ = attempt;
  const auto places = wire::places_to_try(*address, host_name());
  places_ = places.size();
  const std::string place = places[next_place_ % places_];
  bound(attempt, kConnectTime, "no answer from " + place);
  resolver_.async_resolve(place, std::to_string(address->port),
                          [self = shared_from_this(), attempt](auto error, auto endpoints) {
                            if (!self->is_current(attempt)) return;
                            if (error) return self->broken("resolve: " + error.message());
                            boost::asio::async_connect(
                                attempt->stream.lowest_layer(), endpoints,
                                [self, attempt](auto failed, const auto&) {
                                  if (!self->is_current(attempt)) return;
                                  if (failed) {
                                    return self->broken("connect: " + failed.message());
                                  }
                                  self->secure(attempt);
                                });
                          });
}

void CoordinatorLink::bound(const AttemptPointer& attempt, std::chrono::seconds time,
                            std::string what) {
  attempt->deadline.expires_after(time);
  attempt->deadline.async_wait(
      [self = shared_from_this(), attempt, what = std::move(what)](auto error) {
        if (!error && self->is_current(attempt))
          self->broken("timeout: " + (attempt->secured ? std::string("no welcome") : what));
      });
}

void CoordinatorLink::secure(const AttemptPointer& attempt) {
  bound(attempt, kWelcomeTime, "no TLS handshake");
  boost::system::error_code ignored;
  attempt->stream.lowest_layer().set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  attempt->stream.async_handshake(
      boost::asio::ssl::stream_base::client, [self = shared_from_this(), attempt](auto error) {
        if (!self->is_current(attempt)) return;
        if (error) return self->broken("handshake: " + tls::handshake_cause(error));
        if (!tls::knows_key(attempt->stream.native_handle()))
          return self->broken("handshake: it did not prove to know the key");
        attempt->secured = true;
        self->greet(attempt);
      });
}

void CoordinatorLink::retry(const std::string& cause, Failed when, bool ended) {
  if (cause != last_cause_) log_.info("coordinator_unreachable", {{"cause", cause}});
  last_cause_ = cause;
  // All its addresses once, then a pause.
  const bool more = when == Failed::at_an_address && next_place_ % places_ != 0;
  if (!more) pause_ms_ = std::clamp(pause_ms_ * 2, kFirstPauseMs, kLongestPauseMs);
  // All agents of a job lose their coordinator at the same moment: not all come back at one.
  const int pause_ms = more ? 0 : std::uniform_int_distribution(pause_ms_ / 2, pause_ms_)(random_);
  timer_.expires_after(std::chrono::milliseconds(pause_ms));
  timer_.async_wait([self = shared_from_this()](auto error) {
    if (!error) self->file_.read();
  });
  callbacks_.unreachable(ended);
}

void CoordinatorLink::greet(const AttemptPointer& attempt) {
  wire::AgentHello hello;
  hello.version = wire::kProtocolVersion;
  hello.node = node_;
  hello.pid = ::getpid();
  hello.incarnation = incarnation_;
  send(hello);
  read_more(attempt);
}

void CoordinatorLink::read_more(const AttemptPointer& attempt) {
  attempt->stream.async_read_some(
      boost::asio::buffer(attempt->incoming),
      [self = shared_from_this(), attempt](auto error, std::size_t size) {
        if (!self->is_current(attempt)) return;
        if (error) return self->broken(tls::end_cause(error));
        self->silence_.heard();
        attempt->reader.append({attempt->incoming.data(), size});
        self->take_messages(attempt);
      });
}

void CoordinatorLink::take_messages(const AttemptPointer& attempt) {
  for (;;) {
    auto next = attempt->reader.next();
    if (!next) return broken(next.error().message());
    if (!*next) break;
    if (const auto* welcome = std::get_if<wire::AgentWelcome>(&**next)) {
      if (attempt->welcomed) return broken("a second AgentWelcome");
      attempt->welcomed = true;
      attempt->deadline.cancel();
      pause_ms_ = 0;
      last_cause_.clear();
      log_.info("coordinator_connected", {{"pid", welcome->pid}, {"agent", welcome->agent}});
      silence_ms_ = welcome->silence_ms;
      silence_.heard();
      if (silence_ms_ > 0) watch();
      callbacks_.up();
    } else if (!attempt->welcomed) {
      return broken("a message before AgentWelcome");
    } else if (const auto* ping = std::get_if<wire::Ping>(&**next)) {
      send(wire::Pong{ping->sequence});
    } else {
      callbacks_.said(std::move(**next));
    }
    if (!is_current(attempt)) return;
  }
  read_more(attempt);
}

void CoordinatorLink::send(const wire::Message& message) {
  const AttemptPointer attempt = attempt_;
  if (!attempt || !attempt->secured) return;
  auto bytes = wire::encode(message);
  if (!bytes) return broken(bytes.error().message());
  attempt->outgoing.push_back(std::move(*bytes));
  if (attempt->outgoing.size() == 1) write_next(attempt);
}

void CoordinatorLink::write_next(const AttemptPointer& attempt) {
  boost::asio::async_write(attempt->stream, boost::asio::buffer(attempt->outgoing.front()),
                           [self = shared_from_this(), attempt](auto error, std::size_t) {
                             if (!self->is_current(attempt)) return;
                             if (error) return self->broken(tls::end_cause(error));
                             attempt->outgoing.pop_front();
                             if (!attempt->outgoing.empty()) self->write_next(attempt);
                           });
}

void CoordinatorLink::give_up() {
  const AttemptPointer attempt = std::exchange(attempt_, nullptr);
  if (!attempt) return;
  attempt->deadline.cancel();
  boost::system::error_code ignored;
  attempt->stream.lowest_layer().close(ignored);
}

void CoordinatorLink::broken(const std::string& cause) {
  const bool was_up = attempt_ && attempt_->welcomed;
  if (!was_up) ++next_place_;
  give_up();
  if (was_up) {
    log_.warning("coordinator_lost", {{"cause", cause}});
    last_cause_ = cause;
    callbacks_.lost();
  }
  if (!stopped_) retry(cause, was_up ? Failed::when_up : Failed::at_an_address);
}

// A network that was cut leaves the connection open, and the doors of the ranks
// perhaps closed: so the coordinator's silence ends it here.
void CoordinatorLink::watch() {
  watch_.expires_after(std::chrono::milliseconds(silence_ms_ / CoordinatorSilence::kTicksToLose));
  watch_.async_wait([self = shared_from_this(), attempt = attempt_](auto error) {
    if (error || !self->is_current(attempt)) return;
    if (self->silence_.tick())
      return self->broken("not heard for " + std::to_string(self->silence_ms_) + " ms");
    self->watch();
  });
}

void CoordinatorLink::stop() {
  stopped_ = true;
  give_up();
  resolver_.cancel();
  timer_.cancel();
  watch_.cancel();
}

}  // namespace ckpt::relay
