#include "coordinator/server/connection.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace ckpt::coordinator {

namespace asio = boost::asio;

Connection::Connection(asio::ip::tcp::socket socket, Callbacks callbacks)
    : socket_(std::move(socket)), callbacks_(std::move(callbacks)) {
  boost::system::error_code ignored;  // only makes small frames slower when it fails
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

void Connection::start() { read(); }

void Connection::accept_as(Peer peer, std::uint32_t number) {
  peer_ = peer;
  number_ = number;
  reader_.set_max_frame(wire::kMaxFrame);
}

void Connection::read() {
  socket_.async_read_some(
      asio::buffer(chunk_),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
        if (self->closed_) return;
        if (error) {
          self->close(error == asio::error::eof ? "closed its connection" : error.message());
          return;
        }
        try {
          self->reader_.append({self->chunk_.data(), bytes});
          self->deliver();
        } catch (const std::exception& problem) {
          self->close(problem.what());
        }
        if (!self->closed_) self->read();
      });
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
      socket_, asio::buffer(queue_.front()),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
        if (self->closed_) return;
        if (error) return self->close(error.message());
        self->queued_bytes_ -= self->queue_.front().size();
        self->queue_.pop_front();
        if (!self->queue_.empty()) self->write();
      });
}

void Connection::close(std::string reason) {
  if (closed_) return;
  closed_ = true;
  asio::post(socket_.get_executor(),
             [self = shared_from_this(), reason = std::move(reason)] {
               boost::system::error_code ignored;  // it is being given up
               self->socket_.close(ignored);
               self->queue_.clear();
               try {
                 self->callbacks_.on_closed(self, reason);
               } catch (const std::exception&) {
                 // The server's own handlers report; memory ran out while they did.
               }
             });
}

}  // namespace ckpt::coordinator
