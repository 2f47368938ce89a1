#include "agent/relay/shim_connection.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

namespace ckpt::relay {

void ShimConnection::start() {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return fail_with(fail_errno("getsockopt", "SO_PEERCRED").value().message());
  facts.pid = peer.pid;
  if (peer.uid != ::geteuid()) {
    listener_->refuse("user " + std::to_string(peer.uid), peer.pid, "not this agent's user");
    return close();
  }
  read_head();
}

void ShimConnection::read_head() {
  boost::asio::async_read(socket_, boost::asio::buffer(&head_, sizeof head_),
                          [self = shared_from_this()](auto error, std::size_t) {
                            if (error && !self->greeted_) return self->close();  // it ended
                            if (error) return self->fail_with("closed its channel");
                            self->read_payload();
                          });
}

void ShimConnection::read_payload() {
  if (head_.magic != CKPT_FRAME_MAGIC || head_.length > CKPT_MAX_FRAME)
    return fail_with("sent what is no frame");
  payload_.resize(head_.length);
  boost::asio::async_read(socket_, boost::asio::buffer(payload_),
                          [self = shared_from_this()](auto error, std::size_t) {
                            if (error) return self->fail_with("closed its channel in a frame");
                            self->take_frame();
                          });
}

// Another version's HELLO may have another size.
bool ShimConnection::of_our_version() {
  std::uint32_t version = 0;
  if (greeted_ || head_.type != CKPT_FRAME_HELLO || payload_.size() < sizeof version) return true;
  std::memcpy(&version, payload_.data(), sizeof version);
  if (version == CKPT_SHIM_CHANNEL_VERSION) return true;
  fail_with("it speaks version " + std::to_string(version) + ", not " +
            std::to_string(CKPT_SHIM_CHANNEL_VERSION));
  return false;
}

void ShimConnection::take_frame() {
  if (!of_our_version()) return;
  auto frame = parse_shim_frame(head_.type, payload_);
  if (!frame) return fail_with(frame.error().message());
  const auto* hello = std::get_if<ckpt_hello>(&*frame);
  if ((hello != nullptr) == greeted_) return fail_with("sent HELLO twice, or not first");
  if (listener_ == nullptr) return;
  if (hello != nullptr) {
    greeted_ = true;
    if (!listener_->welcome(shared_from_this(), *hello)) return;
  } else {
    listener_->callbacks_.said(facts.hello.rank, std::move(*frame));
  }
  if (socket_.is_open()) read_head();
}

Status ShimConnection::send_welcome() {
  const std::vector<std::uint8_t> bytes = encode_welcome(::getpid());
  iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = page->descriptor();
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  // A fresh socket's buffer is empty: these few bytes go out whole.
  const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
  if (sent < 0) return fail_errno("sendmsg", "WELCOME");
  if (static_cast<std::size_t>(sent) != bytes.size()) return fail("sendmsg", "WELCOME", "short");
  return {};
}

void ShimConnection::send(std::vector<std::uint8_t> bytes) {
  if (!socket_.is_open()) return;
  outgoing_.push_back(std::move(bytes));
  if (outgoing_.size() == 1) write_next();
}

void ShimConnection::write_next() {
  boost::asio::async_write(socket_, boost::asio::buffer(outgoing_.front()),
                           [self = shared_from_this()](auto error, std::size_t) {
                             if (error) return self->fail_with("closed its channel");
                             self->outgoing_.pop_front();
                             if (!self->outgoing_.empty()) self->write_next();
                           });
}

void ShimConnection::fail_with(const std::string& how) {
  ShimListener* listener = std::exchange(listener_, nullptr);
  close();
  if (listener == nullptr) return;
  if (greeted_)
    listener->lost(*this, how);
  else
    listener->refuse("pid " + std::to_string(facts.pid), facts.pid, how);
}

void ShimConnection::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  listener_ = nullptr;
}

}  // namespace ckpt::relay
