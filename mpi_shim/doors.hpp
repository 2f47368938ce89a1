// Doors: the only way from the program into the lower half.
//
// Purpose: `Door door("MPI_Send");` stands in every function that calls the
//   lower half, around those calls; CollectiveDoor and
//   NonblockingCollectiveDoor in those that begin a collective. They count who
//   is inside, keep threads out while the doors are closed, give a thread TLS of
//   the lower half (at its first call and after a restart), and drive the
//   collective clocks.
// Ownership: a Door belongs to the block it stands in.
// Threads: any. A door costs three stores and two loads; no locks, no atomics.
//   Doors nest (an MPI_Op that calls MPI): an inner one never parks.
//   No lock of the shim may be held while a door is entered.
// Rules: inside a door a thread never waits for what only another rank's
//   *program* can do; except in a collective, behind a CollectiveDoor. Raise
//   errors (raise_error) after the door has been left. A handle's `lower` must
//   be read inside, after the door's constructor: while a thread stands at a
//   door a restart may change it.
// Errors: before MPI_Init and after MPI_Finalize a door does as Open MPI: a
//   message and the end of the process.
// Source: ARCHITECTURE.md "Doors", "A checkpoint".
#pragma once

#include <cstdint>

#include "mpi_shim/handles.hpp"
#include "mpi_shim/thread_state.hpp"

namespace ckpt::shim {

// How the gate reads: epoch << 2 | flags. A thread whose ThreadState::gate is
// equal to it passes at once.
inline constexpr std::uint32_t kGateClosed = 1;     // nobody enters
inline constexpr std::uint32_t kGateQuiescing = 2;  // collectives ask first
inline constexpr std::uint32_t kGateFlags = 3;
inline constexpr std::uint32_t kGateNoMpi = 0xfffffffcu;  // before Init, after Finalize

extern volatile std::uint32_t g_gate;

inline void compiler_barrier() { asm volatile("" ::: "memory"); }

class Door {
 public:
  explicit Door(const char* function) : thread_(t_thread) {
    thread_->function = function;
    thread_->inside = thread_->inside + 1;
    compiler_barrier();
    if (__builtin_expect(thread_->gate != g_gate, 0)) enter_slowly(function);
  }
  ~Door() {
    if (thread_) leave();
  }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  // Ends the stay before the block does (to raise an error outside).
  void leave() {
    compiler_barrier();
    thread_->inside = thread_->inside - 1;
    compiler_barrier();
    if (__builtin_expect(thread_->gate != g_gate, 0)) left_while_closing();
    thread_ = nullptr;
  }

  // For wait loops: true when the doors are closing and the loop must call
  // step_aside() before it goes on.
  bool must_leave() const { return __builtin_expect(g_gate & kGateClosed, 0); }

  // Leaves, waits until the doors are open, enters again. Afterwards lower
  // handles and requests may be others than before.
  void step_aside();

 protected:
  struct Unentered {};
  Door(const char* function, Unentered) : thread_(t_thread) {
    thread_->function = function;
    thread_->inside = thread_->inside + 1;
  }
  void enter_slowly(const char* function);
  void left_while_closing();

  ThreadState* thread_;
};

// Around a blocking collective on `comm` (communicator constructors too, on the
// parent; MPI_Comm_free is none: farewells.hpp). All members must call it.
class CollectiveDoor : public Door {
 public:
  CollectiveDoor(Communicator& comm, const char* function)
      : Door(function, Unentered{}), comm_(comm) {
    comm_.clock.begun = comm_.clock.begun + 1;
    compiler_barrier();
    if (__builtin_expect(thread_->gate != g_gate, 0)) begin_slowly(function);
  }
  ~CollectiveDoor() {
    if (thread_) leave();
  }
  void leave() {
    compiler_barrier();
    comm_.clock.done = comm_.clock.done + 1;
    Door::leave();
  }

 protected:
  void begin_slowly(const char* function);

  Communicator& comm_;
};

// Around the start of a nonblocking collective: it counts as done as soon as it
// is begun, the drain completes it. Its request: adopt_collective (requests.hpp).
using NonblockingCollectiveDoor = CollectiveDoor;

// A barrier on `comm` that the clock counts and that can be checkpointed while
// it waits: MPI_Finalize's. Must be called outside of any door. Returns an MPI
// error code.
int counted_barrier(Communicator& comm, const char* function);

}  // namespace ckpt::shim
