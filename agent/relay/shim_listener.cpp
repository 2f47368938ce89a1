#include "agent/relay/shim_listener.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>

#include "agent/relay/shim_connection.hpp"

namespace ckpt::relay {
namespace {

// Descriptors or memory are short: they do not come back at once.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

ShimListener::ShimListener(boost::asio::io_context& io, EventLog& log, Callbacks callbacks)
    : io_(io), log_(log), callbacks_(std::move(callbacks)), acceptor_(io), again_(io) {}

ShimListener::~ShimListener() { close(); }

Status ShimListener::listen(const std::string& path) {
  // A socket left by an agent that was killed: a living one would hold the lock.
  ::unlink(path.c_str());
  boost::system::error_code error;
  acceptor_.open(boost::asio::local::stream_protocol(), error);
  if (error) return fail("socket", path, error.message(), error.value());
  // The socket's file takes this mode from its first moment on, umask or not.
  if (::fchmod(acceptor_.native_handle(), 0600) != 0) return fail_errno("fchmod", path);
  try {
    acceptor_.bind(boost::asio::local::stream_protocol::endpoint(path), error);
  } catch (const std::exception& problem) {  // the path is too long
    return fail("bind", path, problem.what(), ENAMETOOLONG);
  }
  if (error) return fail("bind", path, error.message(), error.value());
  path_ = path;
  acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) return fail("listen", path, error.message(), error.value());
  accept();
  return {};
}

void ShimListener::accept() {
  acceptor_.async_accept([this](auto error, ShimConnection::Socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (!error) {
      std::make_shared<ShimConnection>(*this, std::move(socket))->start();
      if (acceptor_.is_open()) accept();
      return;
    }
    if (told_.insert(error.message()).second)
      log_.warning("accept_failed", {{"socket", path_}, {"cause", error.message()}});
    again_.expires_after(kAcceptPause);
    again_.async_wait([this](auto cancelled) {
      if (!cancelled && acceptor_.is_open()) accept();
    });
  });
}

// Before its HELLO: `whose` is told once with each cause.
void ShimListener::refuse(const std::string& whose, int pid, const std::string& cause) {
  if (told_.insert(whose + cause).second)
    log_.warning("connection_refused", {{"from", whose}, {"pid", pid}, {"cause", cause}});
}

bool ShimListener::welcome(const std::shared_ptr<ShimConnection>& connection,
                           const ckpt_hello& hello) {
  const auto reject = [&](const std::string& cause) {
    log_.warning("rank_rejected",
                 {{"rank", hello.rank}, {"pid", connection->facts.pid}, {"cause", cause}});
    connection->close();
    return false;
  };
  if (connection->facts.pid <= 0) return reject("its process cannot be seen from here");
  connection->facts.process.reset(
      static_cast<int>(::syscall(SYS_pidfd_open, connection->facts.pid, 0)));
  if (!connection->facts.process)
    return reject(
        fail_errno("pidfd_open", std::to_string(connection->facts.pid)).value().message());
  if (hello.rank < 0 || hello.rank >= hello.world_size) return reject("not a rank of its world");
  if (const auto old = ranks_.find(hello.rank); old != ranks_.end()) {
    // The rank has given its old connection up; the end of that was not read yet.
    const std::shared_ptr<ShimConnection> stale = old->second;
    if (stale->facts.pid != connection->facts.pid)
      log_.warning(
          "rank_replaced",
          {{"rank", hello.rank}, {"pid", connection->facts.pid}, {"old_pid", stale->facts.pid}});
    stale->close();
    lost(*stale, "connected anew");
  }
  auto page = StatusPage::make();
  if (!page) return reject(page.error().message());
  connection->page.emplace(std::move(*page));
  connection->facts.hello = hello;
  connection->facts.status_file = connection->page->file();
  if (auto done = connection->send_welcome(); !done) return reject(done.error().message());
  ranks_[hello.rank] = connection;
  callbacks_.joined(hello);
  return true;
}

void ShimListener::lost(ShimConnection& connection, const std::string& how) {
  const std::int32_t rank = connection.facts.hello.rank;
  const auto found = ranks_.find(rank);
  if (found == ranks_.end() || found->second.get() != &connection) return;
  ranks_.erase(found);
  callbacks_.gone(rank, how);
}

void ShimListener::send(std::int32_t rank, const ShimOrder& order) {
  if (const auto found = ranks_.find(rank); found != ranks_.end())
    found->second->send(encode_order(order));
}

void ShimListener::say_alive(std::uint32_t silence_ms) {
  const std::vector<std::uint8_t> bytes = encode_alive(silence_ms);
  for (const auto& [rank, connection] : ranks_) connection->send(bytes);
}

const ShimListener::RankFacts* ShimListener::facts(std::int32_t rank) const {
  const auto found = ranks_.find(rank);
  return found == ranks_.end() ? nullptr : &found->second->facts;
}

std::size_t ShimListener::kill_ranks() {
  for (const auto& [rank, connection] : ranks_)
    ::syscall(SYS_pidfd_send_signal, connection->facts.process.get(), SIGKILL, nullptr, 0);
  return ranks_.size();
}

bool ShimListener::activity(std::int32_t rank, wire::RankActivity& activity) const {
  const auto found = ranks_.find(rank);
  if (found == ranks_.end() || !found->second->page) return false;
  activity = found->second->page->read(rank);
  return true;
}

void ShimListener::close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  again_.cancel();
  for (const auto& [rank, connection] : ranks_) connection->close();
  ranks_.clear();
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace ckpt::relay
