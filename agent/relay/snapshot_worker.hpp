// SnapshotWorker: takes the node's snapshots, one after the other, in its own thread.
//
// Purpose: the relay's orders (freeze, write, drop) are carried out here in the
//   order they were given; the relay's thread never waits for them.
// Ownership: owns the snapshot under way and its partial file, which is removed
//   unless the generation was committed.
// Threads: the public functions from the io_context's thread; reports are posted
//   there. drop() also stops what is being written, and kills the copies at once:
//   storage that hangs must not keep the memory they hold.
// Errors: reported as SnapshotFailed, after everything was cleaned up.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/relay/relay_state.hpp"
#include "agent/snapshot/node_snapshot.hpp"
#include "format/log/event_log.hpp"

namespace ckpt::relay {

class SnapshotWorker {
 public:
  SnapshotWorker(boost::asio::io_context& io, EventLog& log, std::function<void(Event)> report);
  ~SnapshotWorker();

  void freeze(const wire::Snapshot& order, std::vector<snapshot::RankRequest> ranks);
  void write(std::uint64_t generation);
  void drop(bool committed);

  // While a snapshot is being written.
  std::optional<WriteProgress> progress() const;

 private:
  // In the worker's thread:
  void do_freeze(const wire::Snapshot& order, const std::vector<snapshot::RankRequest>& ranks,
                 std::uint64_t ticket);
  void do_write(std::uint64_t generation);
  void do_drop(bool committed);
  tl::expected<std::uint64_t, snapshot::RankFailure> write_file(snapshot::NodeSnapshot& snapshot);
  void fail_with(std::uint64_t generation, const snapshot::RankFailure& failure);
  void report(Event event);

  boost::asio::io_context& io_;
  EventLog& log_;
  std::function<void(Event)> report_;

  mutable std::mutex mutex_;  // of the next three
  std::shared_ptr<snapshot::NodeSnapshot> snapshot_;
  bool writing_ = false;
  std::uint64_t dropped_before_ = 0;  // tickets below are void

  std::uint64_t next_ticket_ = 1;  // io_context's thread

  // The worker's thread alone:
  wire::Snapshot order_;
  std::size_t rank_count_ = 0;
  std::string finished_path_;  // a whole partial file, not committed yet

  boost::asio::thread_pool pool_{1};  // last: its thread uses the others
};

}  // namespace ckpt::relay
