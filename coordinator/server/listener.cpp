#include "coordinator/server/listener.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>

#include "coordinator/server/guarded.hpp"

namespace ckpt::coordinator {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

Listener::Stranger::Stranger(asio::io_context& io, tcp::socket socket, asio::ssl::context& context)
    : stream(std::make_unique<tls::Stream>(std::move(socket), context)), deadline(io) {
  boost::system::error_code unknown;
  const auto peer = stream->lowest_layer().remote_endpoint(unknown);
  from = unknown ? "?" : peer.address().to_string() + ":" + std::to_string(peer.port());
}

Listener::Listener(asio::io_context& io, EventLog& log, Admitted admitted)
    : io_(io), log_(log), admitted_(std::move(admitted)), acceptor_(io), again_(io) {}

Status Listener::open(const tcp::endpoint& where, const tls::JobKey& key) {
  auto context = tls::make_stream_context(tls::Role::coordinator, key);
  if (!context) return tl::unexpected(context.error());
  context_.emplace(std::move(*context));
  boost::system::error_code ignored;
  acceptor_.close(ignored);  // of a try that failed
  try {
    acceptor_.open(where.protocol());
    if (where.protocol() == tcp::v6()) acceptor_.set_option(asio::ip::v6_only(false));
    acceptor_.bind(where);
    acceptor_.listen();
  } catch (const std::exception& problem) {
    return fail("listen", where.address().to_string(), problem.what());
  }
  accept();
  return {};
}

std::uint16_t Listener::port() const { return acceptor_.local_endpoint().port(); }

void Listener::close() {
  closed_ = true;
  boost::system::error_code ignored;  // nothing is accepted any more in any case
  acceptor_.close(ignored);
  again_.cancel();
  for (const auto& stranger : strangers_) send_away(*stranger, "the coordinator ends");
}

void Listener::accept() {
  if (accepting_ || closed_) return;
  if (strangers_.size() >= kMostStrangers) {
    Stranger& oldest = *strangers_.front();
    const auto had = std::chrono::duration_cast<milliseconds>(Clock::now() - oldest.since);
    if (had >= kGrace && oldest.sent_away.empty()) {
      send_away(oldest, "it took its time while others waited");  // frees its place soon
    }
    return accept_after(std::max(kGrace - had, milliseconds(10)));
  }
  accepting_ = true;
  acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    accepting_ = false;
    if (closed_) return;
    guarded(log_, "accept", [&] {
      if (error) {
        // No descriptors left, in practice: not asked again at once.
        return cannot_accept(error.message());
      }
      greet(std::move(socket));
      accept();
    });
  });
}

void Listener::accept_after(milliseconds pause) {
  again_.expires_after(pause);
  again_.async_wait([this](const boost::system::error_code& error) {
    if (!error) guarded(log_, "accept", [&] { accept(); });
  });
}

void Listener::greet(tcp::socket socket) {
  boost::system::error_code ignored;  // only makes small frames slower when it fails
  socket.set_option(tcp::no_delay(true), ignored);
  auto stranger = std::make_shared<Stranger>(io_, std::move(socket), *context_);
  strangers_.push_back(stranger);
  stranger->deadline.expires_after(kHandshakeTime);
  stranger->deadline.async_wait(
      [this, weak = std::weak_ptr(stranger)](const boost::system::error_code& error) {
        const auto held = weak.lock();
        if (!error && held) send_away(*held, "timeout: no handshake in its time");
      });
  stranger->stream->async_handshake(
      asio::ssl::stream_base::server, [this, stranger](const boost::system::error_code& error) {
        guarded(log_, "handshake", [&] { handshake_ended(stranger, error); });
        accept();
      });
}

// Its handshake ends with an error then, and that takes it off the list.
void Listener::send_away(Stranger& stranger, const std::string& cause) {
  if (!stranger.sent_away.empty() || !stranger.stream) return;
  stranger.sent_away = cause;
  boost::system::error_code ignored;
  stranger.stream->lowest_layer().close(ignored);
}

void Listener::handshake_ended(const std::shared_ptr<Stranger>& stranger,
                               const boost::system::error_code& error) {
  stranger->deadline.cancel();
  strangers_.remove(stranger);
  if (closed_) return;
  if (!stranger->sent_away.empty()) return log_refusal(stranger->from, stranger->sent_away);
  if (error) return log_refusal(stranger->from, tls::handshake_cause(error));
  if (!tls::knows_key(stranger->stream->native_handle()))
    return log_refusal(stranger->from, "it did not prove to know the key");
  admitted_(std::move(stranger->stream));
}

bool Listener::worth_a_line(Refusals& seen) {
  const auto now = Clock::now();
  ++seen.since_then;
  if (seen.logged != Clock::time_point{} && now - seen.logged < kLogEvery) return false;
  seen.logged = now;
  return true;
}

void Listener::log_refusal(const std::string& from, const std::string& cause) {
  Refusals& seen = refusals_[cause];
  if (!worth_a_line(seen)) return;
  log_.warning("stranger_refused", {{"from", from}, {"cause", cause}, {"times", seen.since_then}});
  seen.since_then = 0;
}

// They wait in the kernel's backlog meanwhile.
void Listener::cannot_accept(const std::string& cause) {
  if (worth_a_line(not_accepted_)) {
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    log_.error("cannot_accept", {{"cause", cause},
                                 {"descriptor_limit", descriptors.rlim_cur},
                                 {"times", not_accepted_.since_then}});
    not_accepted_.since_then = 0;
  }
  accept_after(kPauseWithout);
}

}  // namespace ckpt::coordinator
