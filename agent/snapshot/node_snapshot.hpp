// NodeSnapshot: all ranks of a node, frozen together and written to one file.
//
// Purpose: one thread a rank does all ptrace work for it (ptrace is per thread)
//   and lives until the rank's copy is gone. freeze() returns when every rank
//   runs again; write() streams the copies; the destructor kills them.
// Ownership: owns threads and copies. The GenerationWriter is borrowed.
// Threads: freeze, write and the destructor from one thread; cancel from any: it
//   kills the copies at once, whatever the threads that own them wait for.
// Units: ns, bytes.
// Errors: the first rank that failed, with its number in front ("rank 3: fd 7 is
//   a TCP socket to ..."). Then no rank is kept frozen and nothing is written.
// Source: ARCHITECTURE.md, "A snapshot".
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "agent/snapshot/frozen_rank.hpp"
#include "format/image/generation_writer.hpp"

namespace ckpt::snapshot {

struct RankFailure {
  std::int32_t rank = -1;
  bool vanished = false;  // the rank's process is gone
  Error error;
};

struct RankFrozen {
  std::int32_t rank = -1;
  std::int64_t frozen_ns = 0;
  std::uint64_t pages = 0;
  std::size_t threads = 0, regions = 0;
  std::string fork_failure;  // not empty: copied while stopped, for this reason
};

class NodeSnapshot {
 public:
  explicit NodeSnapshot(std::vector<RankRequest> ranks);
  ~NodeSnapshot();
  NodeSnapshot(const NodeSnapshot&) = delete;
  NodeSnapshot& operator=(const NodeSnapshot&) = delete;

  tl::expected<std::vector<RankFrozen>, RankFailure> freeze();

  // At most upper_bytes() are written; the file may have holes.
  tl::expected<void, RankFailure> write(image::GenerationWriter& writer);

  std::uint64_t upper_bytes() const;
  std::uint64_t bytes_done() const { return bytes_done_; }
  void cancel();

 private:
  class Copies;
  class Worker;
  class Meeting;

  std::vector<RankRequest> requests_;
  std::unique_ptr<Meeting> meeting_;
  std::unique_ptr<std::counting_semaphore<>> streams_;
  std::atomic<std::uint64_t> bytes_done_ = 0;
  std::atomic<bool> cancelled_ = false;
  std::unique_ptr<Copies> copies_;
  std::vector<std::unique_ptr<Worker>> workers_;  // last: they use the others
};

}  // namespace ckpt::snapshot
