#include "coordinator/control_client/control_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>

namespace ckpt::coordinator {
namespace {

// Blocks SIGPIPE for a send: MSG_NOSIGNAL does the same without a handler.
Status send_all(int fd, const std::vector<std::uint8_t>& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t got = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("send to", "the coordinator");
    sent += static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace

Result<ControlClient> ControlClient::connect(const JobDirectory& directory, int timeout_ms) {
  const auto address = directory.read_coordinator();
  if (!address) {
    if (address.error().code != ENOENT) return tl::unexpected(address.error());
    return fail("connect to coordinator of", directory.name(), "it does not run", ECONNREFUSED);
  }
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(address->port);
  if (::inet_pton(AF_INET, address->host.c_str(), &where.sin_addr) != 1) {
    return fail("connect to coordinator of", directory.name(),
                "'" + address->host + "' is not an address", EINVAL);
  }
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket", "");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) {
    return fail_errno("connect to coordinator of", directory.name());
  }
  ControlClient client(std::move(fd));
  Status sent = client.send(wire::ControlHello{address->secret, wire::kProtocolVersion});
  if (!sent) return tl::unexpected(sent.error());
  auto answer = client.receive(timeout_ms);
  if (!answer) {
    // Another program may have the port by now; it is no coordinator of this job.
    const int code = answer.error().code == ETIMEDOUT ? ETIMEDOUT : EACCES;
    return fail("connect to coordinator of", directory.name(),
                "no welcome: " + answer.error().message(), code);
  }
  const auto* welcome = std::get_if<wire::ControlWelcome>(&*answer);
  if (welcome == nullptr) {
    return fail("connect to coordinator of", directory.name(), "no welcome", EACCES);
  }
  client.pid_ = welcome->pid;
  return client;
}

Status ControlClient::send(const wire::Message& message) {
  const auto frame = wire::encode(message);
  if (!frame) return tl::unexpected(frame.error());
  return send_all(fd_.get(), *frame);
}

Result<wire::Message> ControlClient::receive(int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    auto next = reader_.next();
    if (!next) return tl::unexpected(next.error());
    if (*next) return std::move(**next);
    int left = -1;
    if (timeout_ms >= 0) {
      left = static_cast<int>(
          std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count());
      if (left <= 0) return fail("receive from", "the coordinator", "no answer in time", ETIMEDOUT);
    }
    pollfd readable{fd_.get(), POLLIN, 0};
    const int ready = ::poll(&readable, 1, left);
    if (ready < 0 && errno != EINTR) return fail_errno("poll", "");
    if (ready <= 0) continue;
    std::uint8_t bytes[65536];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("receive from", "the coordinator");
    if (got == 0) {
      return fail("receive from", "the coordinator", "it closed the connection", ECONNRESET);
    }
    reader_.append({bytes, static_cast<std::size_t>(got)});
  }
}

}  // namespace ckpt::coordinator
