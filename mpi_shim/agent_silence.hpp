// Is the agent still there while it holds up this rank? A channel alone does not tell.
//
// Purpose: counts ticks without a word of it. Who stood still himself (stopped by the
//   agent, or with the whole node) gets one tick for that, not many.
// Ownership: a value. Threads: one; no clock of its own.
// Units: the agent says ALIVE ten times in the coordinator's silence bound; it counts as
//   gone after twice that bound, when the coordinator has long given it up.
// Errors: none. Source: format/wire/shim_channel.h; PROTOCOL.md "Liveness".
#pragma once

#include <chrono>
#include <cstdint>

namespace ckpt::shim {

class AgentSilence {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::uint32_t kTicksToLose = 20;

  // Nothing is known of the agent's bound: none.
  void reset() { *this = {}; }
  void bound(std::uint32_t silence_ms) { silence_ms_ = silence_ms; }
  void heard(Time now) {
    ticks_ = 0;
    ticked_ = now;
  }
  bool bounded() const { return silence_ms_ > 0; }
  std::uint32_t silence_ms() const { return silence_ms_; }
  std::uint32_t tick_ms() const { return silence_ms_ < 10 ? 1 : silence_ms_ / 10; }

  // Nothing was there to be read at `now`. True: it is gone.
  bool tick(Time now) {
    if (!bounded() || now - ticked_ < std::chrono::milliseconds(tick_ms())) return false;
    ticked_ = now;
    return ++ticks_ >= kTicksToLose;
  }

 private:
  std::uint32_t silence_ms_ = 0, ticks_ = 0;
  Time ticked_{};
};

}  // namespace ckpt::shim
