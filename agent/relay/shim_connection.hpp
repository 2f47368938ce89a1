// ShimConnection: one rank's channel.
//
// Purpose: cuts the byte stream into frames and queues what is sent. Used by
//   ShimListener alone.
// Ownership: shared by its pending operations; closed by the listener.
// Threads: the io_context's one thread.
// Errors: any failure closes it; the listener hears once. What comes instead of a
//   HELLO is logged.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "agent/relay/shim_listener.hpp"

namespace ckpt::relay {

class ShimConnection : public std::enable_shared_from_this<ShimConnection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  ShimConnection(ShimListener& listener, Socket socket)
      : listener_(&listener), socket_(std::move(socket)) {}

  void start();
  void send(std::vector<std::uint8_t> bytes);
  // With the status page's descriptor; the first thing sent.
  Status send_welcome();
  void close();

  ShimListener::RankFacts facts;
  std::optional<StatusPage> page;

 private:
  void read_head();
  void read_payload();
  void take_frame();
  bool of_our_version();
  void write_next();
  void fail_with(const std::string& how);

  ShimListener* listener_;
  Socket socket_;
  ckpt_frame head_{};
  std::vector<std::uint8_t> payload_;
  std::deque<std::vector<std::uint8_t>> outgoing_;
  bool greeted_ = false;
};

}  // namespace ckpt::relay
