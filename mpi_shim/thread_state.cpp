#include "mpi_shim/thread_state.hpp"

#include <pthread.h>

#include <atomic>
#include <new>

#include "mpi_shim/cut_state.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/host/lower_half.h"
#include "mpi_shim/lower_table.hpp"

namespace ckpt::shim {

ThreadState g_unregistered_thread;
constinit thread_local ThreadState* t_thread __attribute__((tls_model("initial-exec"))) =
    &g_unregistered_thread;

namespace {

std::atomic<ThreadState*> g_first{nullptr};
pthread_key_t g_key;
pthread_once_t g_key_once = PTHREAD_ONCE_INIT;

void thread_ends(void* record) {
  auto* thread = static_cast<ThreadState*>(record);
  t_thread = &g_unregistered_thread;
  // A donor of an epoch that has passed went with its lower half.
  const bool current = thread->gate == (g_gate & ~kGateFlags);
  if (thread->gs != 0 && !thread->main && current) ckpt_lower_detach_thread(g_lower, thread->gs);
  thread->gs = 0;
  thread->gate = kNeverAttached;
  thread->inside = 0;
  thread->main = false;
  __atomic_store_n(&thread->used, 0, __ATOMIC_RELEASE);
}

void make_key() { pthread_key_create(&g_key, thread_ends); }

ThreadState* take_unused() {
  for (ThreadState* at = g_first.load(std::memory_order_acquire); at; at = at->next) {
    std::uint32_t unused = 0;
    if (__atomic_compare_exchange_n(&at->used, &unused, 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
      return at;
  }
  return nullptr;
}

}  // namespace

ThreadState* register_thread() {
  if (t_thread != &g_unregistered_thread) return t_thread;
  pthread_once(&g_key_once, make_key);
  ThreadState* thread = take_unused();
  if (!thread) {
    thread = new ThreadState;
    thread->used = 1;
    thread->next = g_first.load(std::memory_order_relaxed);
    while (!g_first.compare_exchange_weak(thread->next, thread, std::memory_order_release)) {
    }
  }
  pthread_setspecific(g_key, thread);
  t_thread = thread;
  return thread;
}

ThreadState* first_thread() { return g_first.load(std::memory_order_acquire); }

}  // namespace ckpt::shim
