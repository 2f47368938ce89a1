// Listener: lets in who knows the job's key.
//
// Purpose: accepts TCP connections, does the TLS handshake and passes on those
//   that got through. Who has not is a stranger; strangers are bounded:
//   - in time: kHandshakeTime each;
//   - in number: kMostStrangers. Where all places are taken, new ones wait in the
//     kernel's backlog until one is free or the oldest has had kGrace, and is
//     sent away: a crowd of agents at the start of a large job gets through, and
//     who only holds on to his place cannot keep others out for long;
//   - in bytes: one ClientHello, of 128 KiB at most (OpenSSL's bound);
//   - in the log: each cause once in kLogEvery, with how often it happened.
//   Without descriptors nobody is accepted, and it is tried again every kPauseWithout.
// Ownership: owns the acceptor and the strangers. Threads: the io_context's one.
// Units: as the types say.
// Errors: open() reports; later ones are logged here. No exception leaves a handler.
// Source: format/tls/stream.hpp.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "format/log/event_log.hpp"
#include "format/tls/stream.hpp"

namespace ckpt::coordinator {

class Listener {
 public:
  static constexpr std::size_t kMostStrangers = 64;
  static constexpr std::chrono::milliseconds kHandshakeTime{10'000};
  static constexpr std::chrono::milliseconds kGrace{1'000};
  static constexpr std::chrono::milliseconds kLogEvery{60'000};
  static constexpr std::chrono::milliseconds kPauseWithout{200};  // descriptors

  using Admitted = std::function<void(std::unique_ptr<tls::Stream>)>;
  Listener(boost::asio::io_context& io, EventLog& log, Admitted admitted);

  Status open(const boost::asio::ip::tcp::endpoint& where, const tls::JobKey& key);
  std::uint16_t port() const;
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Stranger {
    Stranger(boost::asio::io_context& io, boost::asio::ip::tcp::socket socket,
             boost::asio::ssl::context& context);
    std::unique_ptr<tls::Stream> stream;
    boost::asio::steady_timer deadline;
    std::string from;
    Clock::time_point since = Clock::now();
    std::string sent_away;  // why, when it was us who ended it
  };

  struct Refusals {
    Clock::time_point logged{};
    std::uint64_t since_then = 0;
  };

  void accept();
  void accept_after(std::chrono::milliseconds pause);
  void greet(boost::asio::ip::tcp::socket socket);
  void send_away(Stranger& stranger, const std::string& cause);
  void handshake_ended(const std::shared_ptr<Stranger>& stranger,
                       const boost::system::error_code& error);
  void log_refusal(const std::string& from, const std::string& cause);
  void cannot_accept(const std::string& cause);
  static bool worth_a_line(Refusals& seen);

  boost::asio::io_context& io_;
  EventLog& log_;
  Admitted admitted_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer again_;
  std::optional<boost::asio::ssl::context> context_;
  std::list<std::shared_ptr<Stranger>> strangers_;  // the oldest first
  std::map<std::string, Refusals> refusals_;        // by cause
  Refusals not_accepted_;
  bool accepting_ = false, closed_ = false;
};

}  // namespace ckpt::coordinator
