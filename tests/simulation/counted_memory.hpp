// Whose memory is it: every allocation is counted for the party that made it.
//
// Purpose: many agents and a coordinator live in one process here; what each of
//   them would need in its own is told apart by who was at work when a block was
//   allocated. Whoever frees it, it is taken from that party's account.
// Ownership: this part replaces operator new and delete of the whole program
//   (not those for over-aligned types, nor malloc).
// Threads: one.
// Units: bytes as asked for, without the allocator's own; blocks.
// Errors: std::bad_alloc, as always.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ckpt::simulation::scale {

// 0 is the simulation itself.
inline constexpr std::uint32_t kParties = 1u << 15;

struct Account {
  std::size_t bytes = 0, peak_bytes = 0;
  std::size_t blocks = 0, peak_blocks = 0;
};

const Account& account(std::uint32_t party);
void forget_peak(std::uint32_t party);  // it begins anew from what is held now

// A party works; CPU time of the thread is added to `seconds` at its end.
class Work {
 public:
  Work(std::uint32_t party, double& seconds);
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work();

 private:
  std::uint32_t before_;
  double& seconds_;
  double begun_;
};

}  // namespace ckpt::simulation::scale
