// Threads that wait in the kernel when the snapshot comes: on a mutex, a
// condition variable, a barrier, in nanosleep and poll; names; and a thread
// made after the restart.
#include <poll.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/tracees/tracee.hpp"

namespace {

std::mutex held, guard;
std::condition_variable condition;
bool released = false;
pthread_barrier_t barrier;
std::atomic<int> passed = 0;
std::atomic<bool> stop = false;
std::atomic<long> slept = 0, polled = 0, computed = 0;
thread_local int own_number = 0;

void on_mutex() {
  own_number = 11;
  std::lock_guard lock(held);
  EXPECT(own_number == 11);
  ++passed;
}

void on_condition() {
  own_number = 12;
  pthread_setname_np(pthread_self(), "on-condition");
  std::unique_lock lock(guard);
  condition.wait(lock, [] { return released; });
  char name[16];
  pthread_getname_np(pthread_self(), name, sizeof name);
  EXPECT(std::strcmp(name, "on-condition") == 0 && own_number == 12);
  ++passed;
}

void on_barrier() {
  pthread_barrier_wait(&barrier);
  ++passed;
}

void sleeper() {
  while (!stop) {
    timespec pause{0, 50000000};
    EXPECT(nanosleep(&pause, nullptr) == 0);  // no EINTR from a snapshot or restart
    ++slept;
  }
}

void poller() {
  while (!stop) {
    EXPECT(poll(nullptr, 0, 50) == 0);
    ++polled;
  }
}

void computer() {
  while (!stop) ++computed;
}

}  // namespace

int main() {
  pthread_barrier_init(&barrier, nullptr, 3);
  held.lock();
  std::vector<std::thread> threads;
  threads.emplace_back(on_mutex);
  threads.emplace_back(on_condition);
  threads.emplace_back(on_condition);
  threads.emplace_back(on_barrier);
  threads.emplace_back(on_barrier);
  threads.emplace_back(sleeper);
  threads.emplace_back(poller);
  threads.emplace_back(computer);
  await_restarts();
  EXPECT(passed == 0);
  const long slept_before = slept, polled_before = polled, computed_before = computed;
  held.unlock();
  {
    std::lock_guard lock(guard);
    released = true;
  }
  condition.notify_all();
  pthread_barrier_wait(&barrier);
  while (passed < 5 || slept < slept_before + 2 || polled < polled_before + 2 ||
         computed == computed_before) {
    sched_yield();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  int made = 0;
  std::thread([&made] { made = 1; }).join();
  EXPECT(made == 1);
  good();
}
