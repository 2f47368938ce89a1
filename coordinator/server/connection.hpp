// One TCP connection of the coordinator: frames in, frames out.
//
// Purpose: cuts the stream into messages and queues what goes out.
// Ownership: shared by the server and by the operations under way; after
//   close() nothing is delivered any more.
// Threads: the io_context's only thread.
// Units: bytes; a peer that does not read is cut off at kMaxQueued.
// Errors: all end in on_closed(reason), once; no exception leaves a handler.
// Source: Boost.Asio 1.74 reference.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/wire/messages.hpp"

namespace ckpt::coordinator {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Pointer = std::shared_ptr<Connection>;
  struct Callbacks {
    std::function<void(const Pointer&, const wire::Message&)> on_message;
    std::function<void(const Pointer&, const std::string& reason)> on_closed;
  };
  enum class Peer : std::uint8_t { unknown, agent, control };

  Connection(boost::asio::ip::tcp::socket socket, Callbacks callbacks);

  void start();
  void send(const wire::Message& message);
  // Tells on_closed later, never from inside a call of the server.
  void close(std::string reason);
  bool everything_sent() const { return queue_.empty(); }
  bool closed() const { return closed_; }
  // The hello was right: frames of any size from now on.
  void accept_as(Peer peer, std::uint32_t number);

  Peer peer() const { return peer_; }
  std::uint32_t number() const { return number_; }  // of the agent

 private:
  static constexpr std::size_t kMaxQueued = 512u << 20;

  void read();
  void write();
  void deliver();

  boost::asio::ip::tcp::socket socket_;
  Callbacks callbacks_;
  wire::FrameReader reader_{wire::kMaxHelloFrame};
  std::array<std::uint8_t, 65536> chunk_{};
  std::deque<std::vector<std::uint8_t>> queue_;
  std::size_t queued_bytes_ = 0;
  Peer peer_ = Peer::unknown;
  std::uint32_t number_ = 0;
  bool closed_ = false;
};

}  // namespace ckpt::coordinator
