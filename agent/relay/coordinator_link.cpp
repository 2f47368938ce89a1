#include "agent/relay/coordinator_link.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "agent/proc/proc_file.hpp"

namespace ckpt::relay {
namespace {

constexpr int kFirstPauseMs = 50, kLongestPauseMs = 2000;

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

CoordinatorLink::CoordinatorLink(boost::asio::io_context& io, EventLog& log,
                                 std::string job_directory, Callbacks callbacks)
    : io_(io),
      log_(log),
      job_directory_(std::move(job_directory)),
      callbacks_(std::move(callbacks)),
      socket_(io),
      resolver_(io),
      timer_(io) {}

Result<CoordinatorLink::Address> CoordinatorLink::read_address(const std::string& job_directory) {
  const std::string path = job_directory + "/coordinator.json";
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno("lstat", path);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
    return fail("read", path, "not a file for our eyes only", EPERM);
  auto text = proc::read_whole(path);
  if (!text) return tl::unexpected(text.error());
  const auto value = nlohmann::json::parse(*text, nullptr, false);
  if (!value.is_object() || !value.contains("host") || !value["host"].is_string() ||
      !value.contains("port") || !value["port"].is_number_unsigned() ||
      !value.contains("secret") || !value["secret"].is_string())
    return fail("read", path, "no host, port and secret");
  Address address;
  address.host = value["host"].get<std::string>();
  address.port = value["port"].get<std::uint16_t>();
  address.secret = value["secret"].get<std::string>();
  return address;
}

void CoordinatorLink::connect() {
  if (stopped_) return;
  auto address = read_address(job_directory_);
  if (!address) return retry(address.error().message());
  const std::uint64_t attempt = ++attempt_;
  resolver_.async_resolve(
      address->host, std::to_string(address->port),
      [self = shared_from_this(), attempt, secret = address->secret](auto error, auto endpoints) {
        if (self->stopped_ || attempt != self->attempt_) return;
        if (error) return self->retry("resolve: " + error.message());
        self->socket_ = boost::asio::ip::tcp::socket(self->io_);
        boost::asio::async_connect(self->socket_, endpoints,
                                   [self, attempt, secret](auto failed, const auto&) {
                                     if (self->stopped_ || attempt != self->attempt_) return;
                                     if (failed) return self->retry("connect: " + failed.message());
                                     self->greet(secret);
                                   });
      });
}

void CoordinatorLink::retry(const std::string& cause) {
  if (cause != last_cause_) log_.info("coordinator_unreachable", {{"cause", cause}});
  last_cause_ = cause;
  pause_ms_ = std::clamp(pause_ms_ * 2, kFirstPauseMs, kLongestPauseMs);
  timer_.expires_after(std::chrono::milliseconds(pause_ms_));
  timer_.async_wait([self = shared_from_this()](auto error) {
    if (!error) self->connect();
  });
}

void CoordinatorLink::greet(const std::string& secret) {
  boost::system::error_code ignored;
  socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  reader_ = wire::FrameReader();
  outgoing_.clear();
  welcomed_ = false;
  wire::AgentHello hello;
  hello.secret = secret;
  hello.version = wire::kProtocolVersion;
  hello.node = host_name();
  hello.pid = ::getpid();
  send(hello);
  read_more();
}

void CoordinatorLink::read_more() {
  socket_.async_read_some(
      boost::asio::buffer(incoming_),
      [self = shared_from_this(), attempt = attempt_](auto error, std::size_t size) {
        if (self->stopped_ || attempt != self->attempt_) return;
        if (error) return self->broken(error.message());
        self->reader_.append({self->incoming_.data(), size});
        self->take_messages();
      });
}

void CoordinatorLink::take_messages() {
  const std::uint64_t attempt = attempt_;
  for (;;) {
    auto next = reader_.next();
    if (!next) return broken(next.error().message());
    if (!*next) break;
    if (const auto* welcome = std::get_if<wire::AgentWelcome>(&**next)) {
      if (welcomed_) return broken("a second AgentWelcome");
      welcomed_ = true;
      pause_ms_ = 0;
      last_cause_.clear();
      log_.info("coordinator_connected", {{"pid", welcome->pid}, {"agent", welcome->agent}});
      callbacks_.up();
    } else if (!welcomed_) {
      return broken("a message before AgentWelcome");
    } else {
      callbacks_.said(std::move(**next));
    }
    if (stopped_ || attempt != attempt_) return;
  }
  read_more();
}

void CoordinatorLink::send(const wire::Message& message) {
  if (!socket_.is_open()) return;
  auto bytes = wire::encode(message);
  if (!bytes) return broken(bytes.error().message());
  outgoing_.push_back(std::move(*bytes));
  if (outgoing_.size() == 1) write_next();
}

void CoordinatorLink::write_next() {
  boost::asio::async_write(
      socket_, boost::asio::buffer(outgoing_.front()),
      [self = shared_from_this(), attempt = attempt_](auto error, std::size_t) {
        if (self->stopped_ || attempt != self->attempt_) return;
        if (error) return self->broken(error.message());
        self->outgoing_.pop_front();
        if (!self->outgoing_.empty()) self->write_next();
      });
}

void CoordinatorLink::broken(const std::string& cause) {
  ++attempt_;
  boost::system::error_code ignored;
  socket_.close(ignored);
  const bool was_up = std::exchange(welcomed_, false);
  if (was_up) {
    log_.warning("coordinator_lost", {{"cause", cause}});
    last_cause_ = cause;
    callbacks_.lost();
  }
  if (!stopped_) retry(cause);
}

void CoordinatorLink::stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  resolver_.cancel();
  timer_.cancel();
}

}  // namespace ckpt::relay
