// CoordinatorLink: the agent's connection to the job's coordinator.
//
// Purpose: reads coordinator.json, connects, says AgentHello, passes messages;
//   when the connection breaks it reads the file again and connects to what it
//   names, with pauses that grow to 2 s, as long as the agent lives.
// Ownership: owns the socket. Threads: the io_context's one thread.
// Errors: logged; never fatal: the job runs on without a coordinator.
// Source: format/wire/PROTOCOL.md.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/log/event_log.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::relay {

class CoordinatorLink : public std::enable_shared_from_this<CoordinatorLink> {
 public:
  struct Callbacks {
    std::function<void()> up;
    std::function<void()> lost;
    std::function<void(wire::Message)> said;
  };

  CoordinatorLink(boost::asio::io_context& io, EventLog& log, std::string job_directory,
                  Callbacks callbacks);

  void start() { connect(); }
  void send(const wire::Message& message);
  void stop();

 private:
  struct Address {
    std::string host, secret;
    std::uint16_t port = 0;
  };
  static Result<Address> read_address(const std::string& job_directory);

  void connect();
  void retry(const std::string& cause);
  void greet(const std::string& secret);
  void read_more();
  void take_messages();
  void write_next();
  void broken(const std::string& cause);

  boost::asio::io_context& io_;
  EventLog& log_;
  std::string job_directory_;
  Callbacks callbacks_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_;
  int pause_ms_ = 0;
  std::string last_cause_;  // not logged again and again
  bool welcomed_ = false, stopped_ = false;
  std::uint64_t attempt_ = 0;  // handlers of an older connection do nothing
  wire::FrameReader reader_;
  std::array<std::uint8_t, 64 * 1024> incoming_{};
  std::deque<std::vector<std::uint8_t>> outgoing_;
};

}  // namespace ckpt::relay
