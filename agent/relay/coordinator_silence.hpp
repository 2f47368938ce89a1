// Is the coordinator still there? A connection alone does not tell.
//
// Purpose: counts ticks without a word of it. Ownership: a value. Threads: one.
// Units: ticks, ten in the time after which it counts as gone. An agent that
//   stood still gets one tick for that.
// Errors: none. Source: PROTOCOL.md "Liveness".
#pragma once

#include <cstdint>

namespace ckpt::relay {

class CoordinatorSilence {
 public:
  static constexpr std::uint32_t kTicksToLose = 10;
  void heard() { ticks_ = 0; }
  bool tick() { return ++ticks_ >= kTicksToLose; }  // true: it is gone

 private:
  std::uint32_t ticks_ = 0;
};

}  // namespace ckpt::relay
