// A program with some of everything a snapshot must hold, that checks itself.
//
//   tracee_threads_and_state DIRECTORY [MIB]
//
// Threads compute, sleep, wait in futex, poll and read; memory has private,
// shared, hidden (PROT_NONE) and dirty file pages; an itimer, an alternate
// stack, handlers and an append-mode file are in use. It writes one line a
// tick to DIRECTORY/ticks and ends with "good" in DIRECTORY/verdict when
// DIRECTORY/stop exists, or with what differs.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

volatile sig_atomic_t alarms = 0;
std::atomic<bool> ending = false;
std::atomic<std::uint64_t> computed = 0, slept = 0, polled = 0;

std::uint64_t pattern(std::uint64_t i) { return i * 0x9e3779b97f4a7c15ull + 1; }

// A page of pattern in every second one: the others stay untouched.
std::uint64_t* filled(std::size_t bytes, int protection, int flags, int fd = -1) {
  auto* words =
      static_cast<std::uint64_t*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0));
  if (words == MAP_FAILED) std::abort();
  for (std::size_t page = 0; page < bytes / 4096; page += 2)
    for (std::size_t i = page * 512; i < page * 512 + 512; ++i) words[i] = pattern(i);
  if (protection != (PROT_READ | PROT_WRITE)) ::mprotect(words, bytes, protection);
  return words;
}

bool holds(const std::uint64_t* words, std::size_t bytes) {
  for (std::size_t page = 0; page < bytes / 4096; ++page)
    for (std::size_t i = page * 512; i < page * 512 + 512; ++i)
      if (words[i] != (page % 2 == 0 ? pattern(i) : 0)) return false;
  return true;
}

void compute() {
  double value = 1.0;
  while (!ending) {
    for (int i = 0; i < 1000; ++i) value = value * 1.0000001 + 1e-9;
    ++computed;
    if (value > 1e12) value = 1.0;
  }
}

void sleep_often() {
  while (!ending) {
    timespec pause{0, 20'000'000};
    while (::nanosleep(&pause, &pause) != 0 && errno == EINTR) {
    }
    ++slept;
  }
}

void poll_pipe() {
  while (!ending) {
    if (::poll(nullptr, 0, 15) < 0 && errno != EINTR) std::abort();
    ++polled;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string directory = argv[1];
  const std::size_t bytes = (argc > 2 ? std::atoi(argv[2]) : 4) * std::size_t{1} << 20;

  std::uint64_t* heap = filled(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  std::uint64_t* hidden = filled(1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
  std::uint64_t* shared = filled(1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  const int data = ::open((directory + "/data").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (data < 0 || ::ftruncate(data, 1 << 20) != 0) return 2;
  std::uint64_t* dirty = filled(1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, data);
  const int append = ::open((directory + "/ticks").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int duplicate = ::dup(append);

  static char handler_stack[64 * 1024];
  stack_t alternate{};
  alternate.ss_sp = handler_stack;
  alternate.ss_size = sizeof handler_stack;
  ::sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = [](int) { alarms = alarms + 1; };
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval every{{0, 25'000}, {0, 25'000}};
  ::setitimer(ITIMER_REAL, &every, nullptr);
  ::umask(027);

  std::mutex mutex;
  std::condition_variable never;
  std::vector<std::thread> threads;
  threads.emplace_back(compute);
  threads.emplace_back(sleep_often);
  threads.emplace_back(poll_pipe);
  threads.emplace_back([&] {
    std::unique_lock lock(mutex);
    never.wait(lock, [] { return ending.load(); });
  });

  const std::string stop = directory + "/stop";
  std::uint64_t tick = 0;
  while (::access(stop.c_str(), F_OK) != 0) {
    char line[128];
    const int length = std::snprintf(
        line, sizeof line, "%llu computed=%llu slept=%llu polled=%llu alarms=%d\n",
        static_cast<unsigned long long>(++tick), static_cast<unsigned long long>(computed.load()),
        static_cast<unsigned long long>(slept.load()),
        static_cast<unsigned long long>(polled.load()), static_cast<int>(alarms));
    if (::write(tick % 2 == 0 ? append : duplicate, line, static_cast<std::size_t>(length)) !=
        length)
      return 2;
    const timespec pause{0, 50'000'000};
    ::nanosleep(&pause, nullptr);
  }
  {
    const std::lock_guard lock(mutex);
    ending = true;
    never.notify_all();
  }
  for (std::thread& thread : threads) thread.join();

  ::mprotect(hidden, 1 << 20, PROT_READ);
  stack_t now{};
  ::sigaltstack(nullptr, &now);
  const mode_t mask = ::umask(0);
  const char* verdict = !holds(heap, bytes)          ? "private memory differs"
                        : !holds(hidden, 1 << 20)    ? "hidden memory differs"
                        : !holds(shared, 1 << 20)    ? "shared memory differs"
                        : !holds(dirty, 1 << 20)     ? "changed file pages differ"
                        : now.ss_sp != handler_stack ? "alternate stack differs"
                        : mask != 027                ? "umask differs"
                        : alarms == 0                ? "no alarm came"
                                                     : "good";
  if (std::FILE* file = std::fopen((directory + "/verdict").c_str(), "w")) {
    std::fprintf(file, "%s\n", verdict);
    std::fclose(file);
  }
  return std::strcmp(verdict, "good") == 0 ? 0 : 1;
}
