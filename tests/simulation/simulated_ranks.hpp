// Half a million ranks as their agents see them: they answer as a shim would.
//
// Purpose: the shim's side of a checkpoint that goes well, computed instead of
//   run. A rank keeps its collective clocks; all else follows from the traffic.
//   It checks what it is told: at the cut its clocks must be the highest that
//   any member reported or raised; to drain, exactly what was sent to it.
// Ownership: the traffic must outlive it. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/relay/shim_frames.hpp"
#include "tests/simulation/traffic.hpp"

namespace ckpt::simulation::scale {

// What a rank writes to its channel: a frame's type and payload.
struct Said {
  std::int32_t rank = 0;
  std::uint32_t type = 0;
  std::vector<std::uint8_t> payload;
};

// What the program is doing while its clocks are levelled.
enum class Course : std::uint8_t {
  steady,
  // Each rank passes one collective more in each of its communicators that span
  // nodes when it hears the first targets: nothing raises more than that.
  raising,
  // All but the world's have just been made: half of the members know them, and
  // have begun collectives on them.
  making,
};

class SimulatedRanks {
 public:
  explicit SimulatedRanks(const Traffic& traffic);

  void begin_generation(Course course);
  ckpt_hello hello(std::int32_t rank) const;
  void tell(std::int32_t rank, const relay::ShimOrder& order, std::vector<Said>& answers);
  // All have drained: what was sent until now has arrived.
  void end_generation() { drained_ = true, drained_at_ = traffic_->moment(); }

  const std::vector<std::string>& faults() const { return faults_; }

 private:
  using Clocks = std::array<std::uint64_t, Traffic::kCommunicators>;

  void quiesce(std::int32_t rank, const relay::ShimOrder& order, std::vector<Said>& answers);
  void set_targets(std::int32_t rank, const relay::ShimOrder& order, std::vector<Said>& answers);
  void cut(std::int32_t rank, const relay::ShimOrder& order, std::vector<Said>& answers);
  void drain(std::int32_t rank, const relay::ShimOrder& order, std::vector<Said>& answers);
  bool raised_in(std::size_t communicator) const {
    return course_ == Course::raising && communicator != Traffic::kOfTheNode;
  }
  bool knows(std::int32_t rank, std::size_t communicator) const;
  void fault(std::int32_t rank, const std::string& what);

  const Traffic* traffic_;
  std::vector<Clocks> clocks_;                               // by rank
  std::unordered_map<std::uint64_t, std::uint64_t> limits_;  // by gid: the highest report
  Course course_ = Course::steady;
  std::vector<std::uint8_t> raises_;  // by rank: it still will
  bool drained_ = false;
  std::size_t drained_at_ = 0;
  std::vector<std::string> faults_;
};

}  // namespace ckpt::simulation::scale
