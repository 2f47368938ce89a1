#include "mpi_shim/doors.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>

#include "mpi_shim/cut_state.hpp"
#include "mpi_shim/lower_table.hpp"
#include "mpi_shim/outside_mpi.hpp"

namespace ckpt::shim {

volatile std::uint32_t g_gate = kGateNoMpi;

namespace {

void wait_while(volatile std::uint32_t& word, std::uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

[[noreturn]] void no_thread_storage(const char* function) {
  std::fprintf(stderr, "ckpt-coord: %s: the lower half has no thread storage left\n", function);
  std::abort();
}

// Gives the thread TLS of the lower half of the gate's epoch.
void attach(ThreadState& thread, std::uint32_t gate, const char* function) {
  thread.gs = ckpt_lower_attach_thread(g_lower, thread.main ? 1 : 0);
  if (thread.gs == 0) no_thread_storage(function);
  thread.gate = gate & ~kGateFlags;
}

}  // namespace

void Door::enter_slowly(const char* function) {
  if (thread_ == &g_unregistered_thread) {
    thread_ = register_thread();
    thread_->function = function;
    thread_->inside = thread_->inside + 1;
    compiler_barrier();
  }
  if (thread_->inside > 1) return;  // a callback: whoever closes the doors waits for us
  for (;;) {
    const std::uint32_t gate = g_gate;
    if (gate == kGateNoMpi) {
      thread_->inside = 0;
      called_outside_mpi(function);
    }
    if (gate & kGateClosed) {
      thread_->inside = 0;
      compiler_barrier();
      wake_shim_thread();
      wait_while(g_gate, gate);
    } else if (thread_->gate != (gate & ~kGateFlags)) {
      // Outside while attaching: it may wait for the host to make a donor.
      thread_->inside = 0;
      attach(*thread_, gate, function);
    } else {
      return;
    }
    thread_->inside = 1;
    compiler_barrier();
  }
}

void Door::left_while_closing() {
  if (thread_->inside == 0) wake_shim_thread();
}

void Door::step_aside() {
  if (thread_->inside > 1) return;
  enter_slowly(thread_->function);
}

void CollectiveDoor::begin_slowly(const char* function) {
  comm_.clock.begun = comm_.clock.begun - 1;
  enter_slowly(function);
  const bool nested = thread_->inside > 1;
  bool parked_before = false;
  std::uint64_t releases = 0;
  for (;;) {
    if (!(g_gate & kGateQuiescing)) {
      comm_.clock.begun = comm_.clock.begun + 1;
      compiler_barrier();
      if (!(g_gate & kGateQuiescing)) return;
      comm_.clock.begun = comm_.clock.begun - 1;
    }
    const std::vector<ClockReading> clocks = read_clocks();
    std::uint32_t changes = 0;
    {
      CutLock lock;
      const std::uint64_t next = comm_.clock.begun + 1;
      const bool released = nested || (parked_before && releases != g_cut.releases);
      const AtDoor answer = g_cut.targets.at_door(comm_.gid, next, clocks, released);
      if (answer != AtDoor::wait) {
        if (answer == AtDoor::raise)
          g_cut.raised.push_back({comm_.gid, next, static_cast<std::uint32_t>(comm_.size), 0});
        comm_.clock.begun = next;
      }
      if (answer == AtDoor::pass) return;
      if (answer == AtDoor::raise) break;
      changes = g_cut.changes;
      if (!parked_before) releases = g_cut.releases;
      parked_before = true;
    }
    thread_->parked = 1;
    thread_->inside = thread_->inside - 1;
    compiler_barrier();
    wake_shim_thread();
    // RESUME takes the flag away and changes the word, in this order.
    if (g_gate & kGateQuiescing) wait_while(g_cut.changes, changes);
    thread_->parked = 0;
    thread_->inside = thread_->inside + 1;
    compiler_barrier();
    if (thread_->gate != g_gate) enter_slowly(function);
  }
  wake_shim_thread();
}

}  // namespace ckpt::shim
