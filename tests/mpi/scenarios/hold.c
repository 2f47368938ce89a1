#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

struct position here;

const char* in_work_dir(const char* file_name) {
  static _Thread_local char path[4096];
  const char* dir = getenv("SCENARIO_DIR");
  snprintf(path, sizeof path, "%s/%s", dir ? dir : ".", file_name);
  return path;
}

void failed(const char* file, int line, const char* format, ...) {
  va_list arguments;
  const char* base = strrchr(file, '/');
  flockfile(stderr);
  fprintf(stderr, "scenario %s: FAILED rank %d round %d (%s:%d): ", here.name, here.rank,
          here.round, base ? base + 1 : file, line);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  funlockfile(stderr);
  MPI_Abort(MPI_COMM_WORLD, 3);
  abort();
}

void mark_ready(void) {
  char name[64];
  snprintf(name, sizeof name, "ready.%d.%d", here.round, here.rank);
  int fd = open(in_work_dir(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  CHECK(fd >= 0, "open %s: %s", in_work_dir(name), strerror(errno));
  close(fd);
}

static int exists(const char* stem) {
  char name[64];
  snprintf(name, sizeof name, "%s.%d", stem, here.round);
  return access(in_work_dir(name), F_OK) == 0;
}

int go_given(void) { return exists("go"); }

static void nap(void) {
  struct timespec pause = {0, 2000000};
  nanosleep(&pause, NULL);
}

void wait_go(void) {
  while (!go_given()) nap();
}

void hold(void) {
  mark_ready();
  wait_go();
}

void hold_after(void) {
  while (!exists("after")) nap();
}

void fill(void* buffer, size_t size, unsigned seed) {
  unsigned char* to = buffer;
  uint64_t x = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
  for (size_t i = 0; i < size; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    to[i] = (unsigned char)(x >> 24);
  }
}

int filled(const void* buffer, size_t size, unsigned seed) {
  const unsigned char* from = buffer;
  uint64_t x = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
  for (size_t i = 0; i < size; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    if (from[i] != (unsigned char)(x >> 24)) return 0;
  }
  return 1;
}
