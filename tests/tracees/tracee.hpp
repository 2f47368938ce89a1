// What the tracee programs share: a check that ends the program, and waiting
// for a restart.
//
// A tracee builds state, calls await_restarts(), which returns when the process
// has been restarted TRACEE_RESTARTS times (each restart gives it another pid),
// and then checks that the state is as it was. It prints "ready" before it
// waits and "restarted N" after each restart; it ends with "good".
#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define EXPECT(condition)                                                                   \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      std::printf("%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
      std::fflush(stdout);                                                                  \
      _exit(1);                                                                             \
    }                                                                                       \
  } while (0)

inline long now_ms() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

inline int restarts_wanted() {
  const char* text = std::getenv("TRACEE_RESTARTS");
  return text == nullptr ? 1 : std::atoi(text);
}

// Without a sleep: polling getpid() keeps the main thread computing.
inline void await_one_restart(int number) {
  const long pid = syscall(SYS_getpid);
  while (syscall(SYS_getpid) == pid) sched_yield();
  std::printf("restarted %d\n", number);
  std::fflush(stdout);
}

inline void await_restarts() {
  std::printf("ready\n");
  std::fflush(stdout);
  for (int i = 1; i <= restarts_wanted(); ++i) await_one_restart(i);
}

[[noreturn]] inline void good() {
  std::printf("good\n");
  std::fflush(stdout);
  std::exit(0);
}
