// A job as its agents see it: ranks that follow the shim's rules and speak its
// frames, without MPI, processes or time. The scheduler says who moves next.
//
// Purpose: the cut's rules of ARCHITECTURE.md (doors, clocks, markers, release)
//   in their smallest form, so that thousands of schedules can be tried.
// Ownership: values. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "agent/relay/shim_frames.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::simulation {

struct Operation {
  enum Kind : std::uint8_t { send, receive, collective } kind = send;
  std::int32_t peer = 0;    // send, receive
  std::uint64_t gid = 0;    // collective
  std::uint64_t value = 0;  // send: what is sent; receive: what must come
};

struct Communicator {
  std::uint64_t gid = 0;
  std::vector<std::int32_t> members;
};

// Operations that cannot deadlock: each rank's part of one global order.
struct Program {
  std::int32_t world_size = 0;
  std::vector<Communicator> communicators;
  std::vector<std::vector<Operation>> of_rank;
  static Program random(std::mt19937_64& random, std::int32_t world_size, int operations);
};

// What a snapshot keeps of a rank.
struct SavedRank {
  std::size_t position = 0;
  std::map<std::uint64_t, std::uint64_t> begun;
  std::map<std::int32_t, std::uint64_t> sent, received;
  std::map<std::int32_t, std::deque<std::uint64_t>> log;  // by source
  bool inside_collective = false;
};

class SimulatedJob {
 public:
  explicit SimulatedJob(const Program& program);
  SimulatedJob(const Program& program, const std::vector<SavedRank>& saved);

  // Lets a rank do what it can do next; false: it can do nothing now.
  bool move(std::int32_t rank);
  // A frame from the rank's agent.
  void tell(std::int32_t rank, const relay::ShimOrder& order);
  // What its shim has to say, in order.
  std::vector<relay::ShimFrame> take_outbox(std::int32_t rank);
  // Its agent died: it goes on by itself.
  void resume(std::int32_t rank);
  // Its node died: it does nothing any more.
  void end(std::int32_t rank);

  wire::RankActivity activity(std::int32_t rank) const;
  SavedRank save(std::int32_t rank) const;
  bool finished(std::int32_t rank) const;
  bool doors_open(std::int32_t rank) const {
    return ranks_[static_cast<std::size_t>(rank)].mode == Mode::free;
  }
  bool gone(std::int32_t rank) const { return ranks_[static_cast<std::size_t>(rank)].gone; }
  bool all_finished() const;
  std::int32_t world_size() const { return program_->world_size; }
  const std::vector<std::string>& faults() const { return faults_; }
  // Messages sent and neither received nor in a log.
  std::size_t in_the_network() const;

 private:
  enum class Mode : std::uint8_t { free, quiescing, closed, draining };
  struct Rank {
    SavedRank state;
    Mode mode = Mode::free;
    std::uint64_t generation = 0, version = 0, reported = 0;
    std::map<std::uint64_t, std::uint64_t> targets;
    std::map<std::int32_t, std::uint64_t> expected;
    bool parked = false, released = false, gone = false;
    std::vector<relay::ShimFrame> outbox;
  };

  std::uint64_t begun(const Rank& rank, std::uint64_t gid) const;
  bool level(const Rank& rank) const;
  void say_if_level(std::int32_t number);
  bool begin_collective(std::int32_t number, const Operation& operation);
  bool leave_collective(std::int32_t number);
  bool receive(std::int32_t number, const Operation& operation);
  bool drain(std::int32_t number);
  void quiesce(std::int32_t number, std::uint64_t generation);
  void set_targets(std::int32_t number, const relay::ShimOrder& order);
  std::vector<ckpt_clock> clocks(const Rank& rank, std::int32_t number) const;
  void fault(const std::string& text) { faults_.push_back(text); }

  const Program* program_;
  std::vector<Rank> ranks_;
  std::map<std::pair<std::int32_t, std::int32_t>, std::deque<std::uint64_t>> network_;
  std::vector<std::string> faults_;
};

}  // namespace ckpt::simulation
