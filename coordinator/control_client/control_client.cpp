#include "coordinator/control_client/control_client.hpp"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <optional>
#include <vector>

#include "format/posix/host_name.hpp"
#include "format/tls/stream.hpp"

namespace ckpt::coordinator {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr int kSendTimeoutMs = 10'000;

// -1: none.
class Deadline {
 public:
  explicit Deadline(int timeout_ms) {
    if (timeout_ms >= 0)
      at_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  }
  const std::optional<std::chrono::steady_clock::time_point>& at() const { return at_; }

 private:
  std::optional<std::chrono::steady_clock::time_point> at_;
};

}  // namespace

// Asynchronous operations that are waited for: that gives each its deadline.
struct ControlClient::Line {
  explicit Line(asio::ssl::context context)
      : tls(std::move(context)), resolver(io), stream(io, tls) {}
  ~Line() {
    // Handlers point in here: none is left when this ends.
    error_code ignored;
    resolver.cancel();
    stream.lowest_layer().close(ignored);
    io.restart();
    io.run();
  }

  // False when the time is up before `flag` is down.
  bool wait(const bool& flag, const Deadline& deadline) {
    io.restart();
    while (flag) {
      const std::size_t ran = deadline.at() ? io.run_one_until(*deadline.at()) : io.run_one();
      if (ran == 0) return !flag;
    }
    return true;
  }

  Status connect(const CoordinatorAddress& address, const Deadline& deadline);

  asio::io_context io;
  asio::ssl::context tls;
  tcp::resolver resolver;
  tls::Stream stream;
  std::array<std::uint8_t, 16 * 1024> incoming{};
  bool busy = false;     // connecting, or writing
  error_code ended;      // how that went
  bool reading = false;  // goes on over several receive(), when they time out
  error_code read_ended;
  std::size_t read_size = 0;
};

Status ControlClient::Line::connect(const CoordinatorAddress& address, const Deadline& deadline) {
  const std::string subject = address.host + ":" + std::to_string(address.port);
  const auto refused = [&](const char* operation, const std::string& cause, int code) {
    return fail(operation, subject, cause, code);
  };
  busy = true;
  const auto connected = [this](const error_code& error, const auto&) {
    busy = false;
    ended = error;
  };
  std::vector<tcp::endpoint> literals;
  for (const std::string& place : wire::places_to_try(address, host_name())) {
    error_code no_literal;
    const auto literal = asio::ip::make_address(place, no_literal);
    if (!no_literal) literals.emplace_back(literal, address.port);
  }
  if (!literals.empty()) {
    asio::async_connect(stream.lowest_layer(), literals, connected);
  } else {
    resolver.async_resolve(address.host, std::to_string(address.port),
                           [this, connected](const error_code& error, const auto& found) {
                             if (error) return connected(error, tcp::endpoint());
                             asio::async_connect(stream.lowest_layer(), found, connected);
                           });
  }
  if (!wait(busy, deadline)) return refused("connect to", "timeout", ETIMEDOUT);
  const bool elsewhere =
      wire::is_local_only(address) && !address.node.empty() && address.node != host_name();
  if (ended && elsewhere) {
    return refused("connect to",
                   ended.message() + " (it listens on " + address.node +
                       " alone: ask there, or start the job with --listen all)",
                   ended.value());
  }
  if (ended) return refused("connect to", ended.message(), ended.value());
  error_code ignored;  // only makes small frames slower when it fails
  stream.lowest_layer().set_option(tcp::no_delay(true), ignored);

  busy = true;
  stream.async_handshake(asio::ssl::stream_base::client, [this](const error_code& error) {
    busy = false;
    ended = error;
  });
  if (!wait(busy, deadline)) return refused("TLS handshake with", "timeout", ETIMEDOUT);
  if (ended) return refused("TLS handshake with", tls::handshake_cause(ended), EACCES);
  if (!tls::knows_key(stream.native_handle()))
    return refused("TLS handshake with", "it did not prove to know the key", EACCES);
  return {};
}

ControlClient::ControlClient(std::unique_ptr<Line> line) : line_(std::move(line)) {}
ControlClient::ControlClient(ControlClient&&) noexcept = default;
ControlClient& ControlClient::operator=(ControlClient&&) noexcept = default;
ControlClient::~ControlClient() = default;

Result<ControlClient> ControlClient::connect(const JobDirectory& directory, int timeout_ms) {
  const std::string operation = "connect to coordinator of";
  const auto address = directory.read_coordinator();
  if (!address) {
    if (address.error().code != ENOENT) return tl::unexpected(address.error());
    return fail(operation, directory.name(), "it does not run", ECONNREFUSED);
  }
  const auto key = tls::JobKey::from_text(address->key);
  if (!key) return with_context(key.error(), "read", directory.file("coordinator.json"));
  auto context = tls::make_stream_context(tls::Role::client, *key);
  if (!context) return with_context(context.error(), operation, directory.name());
  ControlClient client(std::make_unique<Line>(std::move(*context)));
  if (Status connected = client.line_->connect(*address, Deadline(timeout_ms)); !connected) {
    return with_context(connected.error(), operation, directory.name());
  }
  Status sent = client.send(wire::ControlHello{wire::kProtocolVersion});
  if (!sent) return with_context(sent.error(), operation, directory.name());
  auto answer = client.receive(timeout_ms);
  if (!answer) {
    const int code = answer.error().code == ETIMEDOUT ? ETIMEDOUT : EACCES;
    return fail(operation, directory.name(), "no welcome: " + answer.error().message(), code);
  }
  const auto* welcome = std::get_if<wire::ControlWelcome>(&*answer);
  if (welcome == nullptr) return fail(operation, directory.name(), "no welcome", EACCES);
  client.pid_ = welcome->pid;
  return client;
}

Status ControlClient::send(const wire::Message& message) {
  const auto frame = wire::encode(message);
  if (!frame) return tl::unexpected(frame.error());
  Line& line = *line_;
  line.busy = true;
  asio::async_write(line.stream, asio::buffer(*frame),
                    [&line](const error_code& error, std::size_t) {
                      line.busy = false;
                      line.ended = error;
                    });
  if (!line.wait(line.busy, Deadline(kSendTimeoutMs))) {
    // The frame goes with this call: its write must end first.
    error_code ignored;
    line.stream.lowest_layer().close(ignored);
    line.wait(line.busy, Deadline(-1));
    return fail("send to", "the coordinator", "timeout", ETIMEDOUT);
  }
  if (line.ended) {
    return fail("send to", "the coordinator", tls::end_cause(line.ended), ECONNRESET);
  }
  return {};
}

Result<wire::Message> ControlClient::receive(int timeout_ms) {
  const Deadline deadline(timeout_ms);
  Line& line = *line_;
  for (;;) {
    auto next = reader_.next();
    if (!next) return tl::unexpected(next.error());
    if (*next) return std::move(**next);
    if (!line.reading) {
      line.reading = true;
      line.stream.async_read_some(asio::buffer(line.incoming),
                                  [&line](const error_code& error, std::size_t size) {
                                    line.reading = false;
                                    line.read_ended = error;
                                    line.read_size = size;
                                  });
    }
    if (!line.wait(line.reading, deadline))
      return fail("receive from", "the coordinator", "no answer in time", ETIMEDOUT);
    if (line.read_ended) {
      return fail(
          "receive from", "the coordinator",
          tls::is_end(line.read_ended) ? "it closed the connection" : line.read_ended.message(),
          ECONNRESET);
    }
    reader_.append({line.incoming.data(), line.read_size});
  }
}

}  // namespace ckpt::coordinator
