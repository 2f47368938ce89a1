#include "coordinator/server/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace ckpt::coordinator {

namespace asio = boost::asio;

Connection::Connection(std::unique_ptr<tls::Stream> stream, Callbacks callbacks)
    : stream_(std::move(stream)), callbacks_(std::move(callbacks)) {}

void Connection::start() { read(); }

void Connection::accept_as(Peer peer, std::uint32_t number) {
  peer_ = peer;
  number_ = number;
  reader_.set_max_frame(wire::kMaxFrame);
}

void Connection::read() {
  stream_->async_read_some(
      asio::buffer(chunk_),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
        if (self->closed_) return;
        if (error) return self->fail(error);
        try {
          self->reader_.append({self->chunk_.data(), bytes});
          self->fit_chunk(bytes);
          self->deliver();
        } catch (const std::exception& problem) {
          self->close(problem.what());
        }
        if (!self->closed_) self->read();
      });
}

void Connection::fit_chunk(std::size_t filled) {
  const bool full = filled == chunk_.size();
  const std::size_t wanted = full ? kLargeChunk : kSmallChunk;
  // A large one is for as long as it is needed.
  if (wanted == chunk_.size() || (!full && filled > kSmallChunk)) return;
  std::vector<std::uint8_t>(wanted).swap(chunk_);
}

void Connection::deliver() {
  while (!closed_) {
    auto next = reader_.next();
    if (!next) return close(next.error().message());
    if (!*next) return;
    callbacks_.on_message(shared_from_this(), **next);
  }
}

void Connection::send(const wire::Message& message) {
  if (closed_) return;
  auto frame = wire::encode(message);
  if (!frame) return close(frame.error().message());
  queued_bytes_ += frame->size();
  if (queued_bytes_ > kMaxQueued) return close("it does not read what is sent to it");
  queue_.push_back(std::move(*frame));
  if (queue_.size() == 1) write();
}

void Connection::write() {
  asio::async_write(
      *stream_, asio::buffer(queue_.front()),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
        if (self->closed_) return;
        if (error) return self->fail(error);
        self->queued_bytes_ -= self->queue_.front().size();
        self->queue_.pop_front();
        if (!self->queue_.empty()) self->write();
      });
}

bool Connection::kernel_answers() {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (closed_ || ::getsockopt(stream_->lowest_layer().native_handle(), IPPROTO_TCP, TCP_INFO, &info,
                              &size) != 0) {
    return false;
  }
  return info.tcpi_unacked == 0;
}

void Connection::fail(const boost::system::error_code& error) {
  error_ = error;
  close(tls::end_cause(error));
}

bool Connection::network_failed() const {
  return error_ == asio::error::timed_out || error_ == asio::error::host_unreachable ||
         error_ == asio::error::network_unreachable;
}

void Connection::close(std::string reason) {
  if (closed_) return;
  closed_ = true;
  asio::post(stream_->get_executor(), [self = shared_from_this(), reason = std::move(reason)] {
    boost::system::error_code ignored;  // it is being given up
    self->stream_->lowest_layer().close(ignored);
    self->queue_.clear();
    try {
      self->callbacks_.on_closed(self, reason);
    } catch (const std::exception&) {
      // The server's own handlers report; memory ran out while they did.
    }
  });
}

}  // namespace ckpt::coordinator
