// What the program's threads and the shim's thread share during a checkpoint.
//
// Purpose: opens and closes the doors, parks threads and wakes them, holds the
//   collective targets, wakes the shim's thread.
// Ownership: one for a process, in static memory.
// Threads: functions marked [shim] are called by the shim's thread alone (or
//   before it exists); the others by any thread. `mutex` guards `targets`,
//   `raised` and `releases`; it is held for moments only, never at a door.
// Errors: close_doors says false where the kernel has no membarrier.
// Source: membarrier(2), futex(2), eventfd(2); ARCHITECTURE.md "Doors".
#pragma once

#include <pthread.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mpi_shim/collective_clock.hpp"

namespace ckpt::shim {

struct CutState {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  CollectiveTargets targets;
  std::vector<ckpt_clock> raised;  // to be sent as RAISE
  std::uint64_t releases = 0;
  volatile std::uint32_t changes = 0;  // futex word of those parked at a collective
};
extern CutState g_cut;

class CutLock {
 public:
  CutLock() { pthread_mutex_lock(&g_cut.mutex); }
  ~CutLock() { pthread_mutex_unlock(&g_cut.mutex); }
  CutLock(const CutLock&) = delete;
  CutLock& operator=(const CutLock&) = delete;
};

// Readings of all live communicators.
std::vector<ClockReading> read_clocks();

// [shim] MPI is up: doors open for `epoch`. Registers with membarrier.
void open_doors(std::uint32_t epoch);
// [shim] Collectives ask first from now on; when it returns every collective
// begun before is visible. False: not possible on this kernel.
bool start_quiescing();
// [shim] Nobody enters any more; then wait until nobody_inside().
bool close_doors();
// [shim] MPI is down: a door is an error.
void remove_doors();

// [shim] Threads in the lower half; `function`: what one of them is in.
std::uint32_t threads_inside(const char** function);
std::uint32_t threads_parked();

// [shim] Threads parked at a collective look again.
void wake_parked();

// The shim's thread waits on this descriptor (an eventfd), beside its channel.
// Made again after a restart, numbered above `lowest`.
bool make_wakeup(int lowest);
int wakeup_descriptor();
void wake_shim_thread();

}  // namespace ckpt::shim
