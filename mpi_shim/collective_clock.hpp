// The collective clocks of one rank while a checkpoint is being levelled.
//
// Purpose: decides, for a thread at the door of a collective, whether it
//   passes or waits, and when this rank is level with the targets. A step
//   function: no I/O, no MPI, no locks, no waiting.
// Ownership: values. Threads: the caller's lock (the mutex of cut_state.hpp).
// Units: collectives begun since the communicator was made.
// Rules: a communicator without target (it was made meanwhile, or no other
//   rank knows it yet) has target 0. A target never falls below what this rank
//   itself reported or raised. Targets of communicators that this rank does not
//   have do not concern it, or not yet: it meets them when it makes them.
// Errors: none.
// Source: ARCHITECTURE.md "Collective clocks"; DESIGN.md section 4.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "format/wire/shim_channel.h"

namespace ckpt::shim {

struct ClockReading {
  std::uint64_t gid = 0;
  std::uint64_t begun = 0;
  std::uint64_t done = 0;
  std::uint32_t members = 0;
};

enum class AtDoor {
  pass,   // within the target
  raise,  // passes and raises the target: others must follow
  wait,
};

class CollectiveTargets {
 public:
  // QUIESCE: what to report, which is also the first guess at the targets.
  std::vector<ckpt_clock> quiesce(std::span<const ClockReading> clocks);

  // TARGETS of a version; older versions than the newest are ignored.
  void set_targets(std::uint64_t version, std::span<const ckpt_clock> targets);

  // A thread stands at the door of the `next`-th collective of `gid`.
  // `clocks`: of all communicators, that collective not counted. `released`: a
  // RELEASE came while it stood there. After `raise` the target is `next`.
  AtDoor at_door(std::uint64_t gid, std::uint64_t next, std::span<const ClockReading> clocks,
                 bool released);

  // True when nothing is behind its target and nobody is inside a collective.
  bool level(std::span<const ClockReading> clocks) const;

  // The version to report as LEVEL, once for each version.
  std::optional<std::uint64_t> report_level(std::span<const ClockReading> clocks);

  // Collectives this rank has still to begin or to complete.
  std::uint64_t behind(std::span<const ClockReading> clocks) const;

  // RESUME: forgets it all.
  void resume();

 private:
  std::uint64_t target(std::uint64_t gid) const;

  std::map<std::uint64_t, std::uint64_t> targets_;  // by gid
  std::uint64_t version_ = 0;
  std::optional<std::uint64_t> reported_;
  bool known_ = false;  // the first TARGETS came
};

}  // namespace ckpt::shim
