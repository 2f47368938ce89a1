// ShimListener: the Unix socket of the node's shims and their connections.
//
// Purpose: accepts ranks of our own user only (SO_PEERCRED), takes HELLO, gives
//   WELCOME with the rank's status page, then passes frames on both ways.
// Ownership: owns the socket file (removed by close()) and all connections.
// Threads: the io_context's one thread.
// Errors: a connection that breaks, or says what it must not, is closed and
//   reported as gone; others are not touched. What keeps it from accepting is
//   logged once for each cause, and tried again after a pause.
// Source: unix(7), format/wire/shim_channel.h.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/relay/shim_frames.hpp"
#include "agent/relay/status_page.hpp"
#include "format/log/event_log.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::relay {

class ShimConnection;

class ShimListener {
 public:
  struct Callbacks {
    std::function<void(const ckpt_hello&)> joined;
    std::function<void(std::int32_t rank, ShimFrame)> said;
    std::function<void(std::int32_t rank, const std::string& how)> gone;
  };

  ShimListener(boost::asio::io_context& io, EventLog& log, Callbacks callbacks);
  ~ShimListener();
  ShimListener(const ShimListener&) = delete;
  ShimListener& operator=(const ShimListener&) = delete;

  // Makes the socket (0600), in a directory that is ours alone.
  Status listen(const std::string& path);
  void close();

  void send(std::int32_t rank, const ShimOrder& order);
  void say_alive(std::uint32_t silence_ms);

  struct RankFacts {
    int pid = 0;       // as the kernel says
    UniqueFd process;  // pidfd: its number may be another's one day
    ckpt_hello hello{};
    std::pair<std::uint64_t, std::uint64_t> status_file;
  };
  const RankFacts* facts(std::int32_t rank) const;
  std::size_t kill_ranks();  // those that are connected; how many
  bool activity(std::int32_t rank, wire::RankActivity& activity) const;

 private:
  friend class ShimConnection;
  void accept();
  void refuse(const std::string& whose, int pid, const std::string& cause);
  bool welcome(const std::shared_ptr<ShimConnection>& connection, const ckpt_hello& hello);
  void lost(ShimConnection& connection, const std::string& how);

  boost::asio::io_context& io_;
  EventLog& log_;
  Callbacks callbacks_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer again_;  // when accept has failed
  std::set<std::string> told_;       // causes that are in the log already
  std::string path_;
  std::map<std::int32_t, std::shared_ptr<ShimConnection>> ranks_;
};

}  // namespace ckpt::relay
