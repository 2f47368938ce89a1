#include "mpi_shim/collective_clock.hpp"

#include <algorithm>

namespace ckpt::shim {

std::uint64_t CollectiveTargets::target(std::uint64_t gid) const {
  const auto found = targets_.find(gid);
  return found == targets_.end() ? 0 : found->second;
}

std::vector<ckpt_clock> CollectiveTargets::quiesce(std::span<const ClockReading> clocks) {
  resume();
  std::vector<ckpt_clock> report;
  report.reserve(clocks.size());
  for (const ClockReading& clock : clocks) {
    targets_[clock.gid] = clock.begun;
    report.push_back({clock.gid, clock.begun, clock.members, 0});
  }
  return report;
}

void CollectiveTargets::set_targets(std::uint64_t version, std::span<const ckpt_clock> targets) {
  if (known_ && version <= version_) return;
  known_ = true;
  version_ = version;
  for (const ckpt_clock& clock : targets) {
    std::uint64_t& target = targets_[clock.gid];
    target = std::max(target, clock.count);
  }
}

AtDoor CollectiveTargets::at_door(std::uint64_t gid, std::uint64_t next,
                                  std::span<const ClockReading> clocks, bool released) {
  if (next <= target(gid)) return AtDoor::pass;
  // What the others have begun is not known yet: the answer is on its way.
  if (!known_) return AtDoor::wait;
  const bool behind = std::any_of(clocks.begin(), clocks.end(), [this](const ClockReading& clock) {
    return clock.begun < target(clock.gid);
  });
  if (!behind && !released) return AtDoor::wait;
  targets_[gid] = next;
  return AtDoor::raise;
}

std::uint64_t CollectiveTargets::behind(std::span<const ClockReading> clocks) const {
  std::uint64_t sum = 0;
  for (const ClockReading& clock : clocks) {
    const std::uint64_t wanted = std::max(target(clock.gid), clock.begun);
    sum += wanted - std::min(wanted, clock.done);
  }
  return sum;
}

bool CollectiveTargets::level(std::span<const ClockReading> clocks) const {
  return known_ && behind(clocks) == 0;
}

std::optional<std::uint64_t> CollectiveTargets::report_level(std::span<const ClockReading> clocks) {
  if (reported_ == version_ || !level(clocks)) return std::nullopt;
  reported_ = version_;
  return version_;
}

void CollectiveTargets::resume() {
  targets_.clear();
  version_ = 0;
  reported_.reset();
  known_ = false;
}

}  // namespace ckpt::shim
