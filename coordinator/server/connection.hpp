// One connection of the coordinator, past its handshake: frames in, frames out.
//
// Purpose: cuts the stream into messages and queues what goes out.
// Ownership: shared by the server and by the operations under way; after
//   close() nothing is delivered any more.
// Threads: the io_context's only thread.
// Units: bytes; a peer that does not read is cut off at kMaxQueued.
// Errors: all end in on_closed(reason), once; no exception leaves a handler.
// Source: Boost.Asio 1.74 reference; format/tls/stream.hpp.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/tls/stream.hpp"
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

  Connection(std::unique_ptr<tls::Stream> stream, Callbacks callbacks);

  void start();
  void send(const wire::Message& message);
  // Tells on_closed later, never from inside a call of the server.
  void close(std::string reason);
  bool everything_sent() const { return queue_.empty(); }
  bool closed() const { return closed_; }
  // The end of the connection was that nothing gets to the peer's node any more.
  bool network_failed() const;
  // The peer's kernel has acknowledged all that was handed to ours: its node
  // lives, whatever its program does.
  bool kernel_answers();
  // The hello was right: frames of any size from now on.
  void accept_as(Peer peer, std::uint32_t number);

  Peer peer() const { return peer_; }
  std::uint32_t number() const { return number_; }  // of the agent

 private:
  static constexpr std::size_t kMaxQueued = 512u << 20;
  static constexpr std::size_t kSmallChunk = 512, kLargeChunk = 16384;  // a TLS record

  void read();
  void write();
  void fit_chunk(std::size_t filled);
  void deliver();
  void fail(const boost::system::error_code& error);

  std::unique_ptr<tls::Stream> stream_;
  Callbacks callbacks_;
  wire::FrameReader reader_{wire::kMaxHelloFrame};
  // There are thousands of connections: those that have much to say get a larger one.
  std::vector<std::uint8_t> chunk_ = std::vector<std::uint8_t>(kSmallChunk);
  std::deque<std::vector<std::uint8_t>> queue_;
  std::size_t queued_bytes_ = 0;
  Peer peer_ = Peer::unknown;
  std::uint32_t number_ = 0;
  bool closed_ = false;
  boost::system::error_code error_;  // that ended it
};

}  // namespace ckpt::coordinator
