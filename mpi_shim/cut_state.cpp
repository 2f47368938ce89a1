#include "mpi_shim/cut_state.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

CutState g_cut;

namespace {

int g_wakeup = -1;
std::uint32_t g_wakeup_epoch = 0;
bool g_registered = false;

bool register_membarrier() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

// Every thread of the program has passed a full barrier when it returns.
bool barrier_for_all() {
  if (g_registered && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
    return true;
  g_registered = register_membarrier();  // a restored process is not registered
  if (g_registered) return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
  return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0;
}

void wake_all(volatile std::uint32_t& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void set_gate(std::uint32_t gate) {
  __atomic_store_n(&g_gate, gate, __ATOMIC_SEQ_CST);
  wake_all(g_gate);
  wake_parked();
}

}  // namespace

std::vector<ClockReading> read_clocks() {
  std::vector<ClockReading> readings;
  const std::lock_guard lock(objects_mutex());
  readings.reserve(live_communicators().size());
  for (const Communicator* comm : live_communicators()) {
    // In this order: a collective begun meanwhile must not look done.
    const std::uint64_t done = comm->clock.done;
    compiler_barrier();
    readings.push_back(
        {comm->gid, comm->clock.begun, done, static_cast<std::uint32_t>(comm->size)});
  }
  return readings;
}

void open_doors(std::uint32_t epoch) {
  if (!g_registered) g_registered = register_membarrier();
  set_gate(epoch << 2);
}

bool start_quiescing() {
  set_gate(g_gate | kGateQuiescing);
  return barrier_for_all();
}

bool close_doors() {
  set_gate(g_gate | kGateClosed);
  return barrier_for_all();
}

void remove_doors() { set_gate(kGateNoMpi); }

std::uint32_t threads_inside(const char** function) {
  std::uint32_t inside = 0;
  for (const ThreadState* at = first_thread(); at; at = at->next) {
    if (at->inside == 0 || at->shim) continue;
    ++inside;
    *function = at->function;
  }
  return inside;
}

std::uint32_t threads_parked() {
  std::uint32_t parked = 0;
  for (const ThreadState* at = first_thread(); at; at = at->next) parked += at->parked;
  return parked;
}

void wake_parked() {
  __atomic_add_fetch(&g_cut.changes, 1, __ATOMIC_SEQ_CST);
  wake_all(g_cut.changes);
}

bool make_wakeup(int lowest) {
  const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) return false;
  const int moved = fcntl(made, F_DUPFD_CLOEXEC, lowest);
  if (moved >= 0) close(made);
  g_wakeup = moved >= 0 ? moved : made;
  compiler_barrier();
  g_wakeup_epoch = current_epoch();
  return true;
}

int wakeup_descriptor() { return g_wakeup; }

void wake_shim_thread() {
  // After a restart the number is another's until the shim's thread is back.
  if (g_wakeup < 0 || g_wakeup_epoch != current_epoch()) return;
  const std::uint64_t one = 1;
  if (write(g_wakeup, &one, sizeof one) < 0) return;  // full: it is awake already
}

}  // namespace ckpt::shim
