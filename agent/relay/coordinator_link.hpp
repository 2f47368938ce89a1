// CoordinatorLink: the agent's connection to the job's coordinator.
//
// Purpose: reads coordinator.json, connects, proves in the TLS handshake that it
//   knows the key (and that the coordinator does), says AgentHello, passes
//   messages; when the connection breaks it reads the file again and connects to
//   what it names, with random pauses that grow to 2 s, as long as the agent lives.
// Ownership: owns the connection. Threads: the io_context's one thread.
// Units: an attempt that has brought no AgentWelcome in kWelcomeTime is given up.
// Errors: logged, each cause once in a row; never fatal: the job runs on without
//   a coordinator.
// Source: format/wire/PROTOCOL.md, format/tls/stream.hpp.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "agent/relay/coordinator_file_reader.hpp"
#include "agent/relay/coordinator_silence.hpp"
#include "format/log/event_log.hpp"
#include "format/posix/host_name.hpp"
#include "format/tls/stream.hpp"
#include "format/wire/coordinator_file.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::relay {

class CoordinatorLink : public std::enable_shared_from_this<CoordinatorLink> {
 public:
  struct Callbacks {
    std::function<void()> up;
    std::function<void()> lost;
    // A try failed. `ended`: there is no coordinator.json.
    std::function<void(bool ended)> unreachable;
    std::function<void(wire::Message)> said;
  };

  // `node`: what it calls the node it is on.
  CoordinatorLink(boost::asio::io_context& io, EventLog& log, const std::string& job_directory,
                  std::uint64_t incarnation, Callbacks callbacks, std::string node = host_name());

  void start() { file_.read(); }
  void send(const wire::Message& message);
  void stop();
  std::uint32_t silence_ms() const { return silence_ms_; }

 private:
  static constexpr std::chrono::seconds kConnectTime{5}, kWelcomeTime{15};

  // One attempt. Handlers hold theirs; those of an attempt given up do nothing.
  struct Attempt {
    Attempt(boost::asio::io_context& io, boost::asio::ssl::context& context)
        : stream(io, context), deadline(io) {}
    tls::Stream stream;
    boost::asio::steady_timer deadline;
    wire::FrameReader reader;
    std::array<std::uint8_t, 16 * 1024> incoming{};
    std::deque<std::vector<std::uint8_t>> outgoing;
    bool secured = false, welcomed = false;
  };
  using AttemptPointer = std::shared_ptr<Attempt>;

  void connect(const Result<wire::CoordinatorAddress>& address);
  void bound(const AttemptPointer& attempt, std::chrono::seconds time, std::string what);
  void secure(const AttemptPointer& attempt);
  // What failed last: an address is followed by the next one at once.
  enum class Failed { before_connect, at_an_address, when_up };
  void retry(const std::string& cause, Failed when, bool ended = false);
  void greet(const AttemptPointer& attempt);
  void read_more(const AttemptPointer& attempt);
  void take_messages(const AttemptPointer& attempt);
  void write_next(const AttemptPointer& attempt);
  void broken(const std::string& cause);
  void give_up();
  bool is_current(const AttemptPointer& attempt) const { return !stopped_ && attempt == attempt_; }
  void watch();

  boost::asio::io_context& io_;
  EventLog& log_;
  CoordinatorFileReader file_;
  std::uint64_t incarnation_;
  Callbacks callbacks_;
  std::string node_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_, watch_;
  std::uint32_t silence_ms_ = 0;  // as the coordinator wants it
  CoordinatorSilence silence_;
  int pause_ms_ = 0;
  std::minstd_rand random_{std::random_device{}()};
  std::size_t next_place_ = 0,
              places_ = 1;  // of the coordinator's addresses; the one that works stays
  std::string last_cause_;  // not logged again and again
  bool stopped_ = false;
  AttemptPointer attempt_;
};

}  // namespace ckpt::relay
