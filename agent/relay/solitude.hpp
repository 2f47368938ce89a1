// When an agent has nobody left: no rank on its node, and no coordinator.
//
// Purpose: nothing of ours may keep a node (or a batch system's step) alive
//   after the job. While the coordinator is there it says when to end; an agent
//   with ranks stays for them; one with neither goes after a while.
// Ownership: a value. Threads: one at a time; no clock of its own.
// Units: steady clock. Errors: none. Source: ARCHITECTURE.md "Agents".
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

namespace ckpt::relay {

class Solitude {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Coordinator {
    connected,
    unreachable,  // it may come back, or a new one be started
    ended,        // coordinator.json is gone: it ended in good order, or never was
  };

  // A file that others removed or made may be seen late; a new coordinator is
  // started within seconds.
  static constexpr std::chrono::seconds kAfterEnd{3}, kUnreachable{30};

  explicit Solitude(Time now) : since_(now) {}

  void ranks(std::size_t count, Time now) {
    const bool before = alone();
    ranks_ = count;
    if (!before) since_ = now;
  }
  void coordinator(Coordinator state, Time now) {
    const bool before = alone();
    coordinator_ = state;
    if (!before) since_ = now;
  }

  // nullopt: not as things are.
  std::optional<Time> ends_at() const {
    if (!alone()) return std::nullopt;
    return since_ + (coordinator_ == Coordinator::ended ? kAfterEnd : kUnreachable);
  }

 private:
  bool alone() const { return ranks_ == 0 && coordinator_ != Coordinator::connected; }

  Time since_;  // alone
  std::size_t ranks_ = 0;
  Coordinator coordinator_ = Coordinator::unreachable;
};

}  // namespace ckpt::relay
