/* What belongs to the process rather than to MPI. */
#include <errno.h>
#include <fenv.h>
#include <immintrin.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "scenario.h"

extern char** environ;

static uint64_t digest_of(char** strings) {
  uint64_t h = 14695981039346656037ull;
  for (; *strings; strings++)
    for (const char* p = *strings; *p; p++) h = (h ^ (unsigned char)*p) * 1099511628211ull;
  return h;
}

void scenario_argv_environment(void) {
  setenv("SCENARIO_OWN", "made before the cut", 1);
  const char* dir = getenv("SCENARIO_DIR");
  char* copy = strdup(dir ? dir : "");
  char **arguments = here.argv, name[64];
  uint64_t before = digest_of(environ), arguments_before = digest_of(here.argv);
  snprintf(name, sizeof name, "%s", here.argv[1]);
  hold();
  CHECK(here.argv == arguments && strcmp(here.argv[1], name) == 0 && here.argv[2] == NULL, "argv");
  CHECK(digest_of(here.argv) == arguments_before, "argv's strings");
  CHECK(digest_of(environ) == before, "environ's strings");
  CHECK(dir == getenv("SCENARIO_DIR") && strcmp(dir ? dir : "", copy) == 0, "getenv moved");
  CHECK(strcmp(getenv("SCENARIO_OWN"), "made before the cut") == 0, "setenv");
  setenv("SCENARIO_OWN", "made after the cut", 1);
  CHECK(strcmp(getenv("SCENARIO_OWN"), "made after the cut") == 0, "setenv afterwards");
  char line[4096];
  FILE* f = fopen("/proc/self/cmdline", "r");
  CHECK(f && fread(line, 1, sizeof line, f) > 0, "/proc/self/cmdline");
  fclose(f);
  CHECK(strcmp(line + strlen(line) + 1, here.name) == 0, "/proc/self/cmdline: %s", line);
  free(copy);
}

static volatile sig_atomic_t ticks, users;
static void on_tick(int signal) { (void)signal, ticks++; }
static void on_user(int signal) { (void)signal, users++; }

void scenario_interval_timer(void) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART}, old;
  struct itimerval every = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}}, now;
  sigaction(SIGALRM, &action, &old);
  setitimer(ITIMER_REAL, &every, NULL);
  hold();
  getitimer(ITIMER_REAL, &now);
  CHECK(now.it_interval.tv_usec == 20000, "interval %ld", (long)now.it_interval.tv_usec);
  int before = ticks;
  while (ticks < before + 5) pause();
  setitimer(ITIMER_REAL, &off, NULL);
  sigaction(SIGALRM, &old, NULL);
  MPI_Barrier(MPI_COMM_WORLD);
}

static char own_stack[65536];
static volatile int on_own_stack;
static void on_stack(int signal) {
  char here_it_is;
  (void)signal;
  on_own_stack = &here_it_is >= own_stack && &here_it_is < own_stack + sizeof own_stack;
}

void scenario_signal_state(void) {
  struct sigaction user = {.sa_handler = on_user},
                   stacked = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK};
  stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack}, got;
  sigset_t blocked, now, pending;
  sigaction(SIGUSR2, &user, NULL);
  sigaction(SIGWINCH, &stacked, NULL);
  sigaltstack(&stack, NULL);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  signal(SIGHUP, SIG_IGN);
  users = 0;
  raise(SIGUSR2); /* pending, because blocked */
  hold();
  sigprocmask(SIG_SETMASK, NULL, &now);
  CHECK(sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMIN + 3), "signal mask");
  sigpending(&pending);
  CHECK(users == 0 && sigismember(&pending, SIGUSR2), "the pending signal is gone");
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  CHECK(users == 1, "the pending signal came %d times", (int)users);
  sigaltstack(NULL, &got);
  CHECK(got.ss_sp == own_stack && got.ss_size == sizeof own_stack, "alternate stack");
  on_own_stack = 0;
  raise(SIGWINCH);
  CHECK(on_own_stack, "handler does not run on the alternate stack");
  struct sigaction ignored;
  sigaction(SIGHUP, NULL, &ignored);
  CHECK(ignored.sa_handler == SIG_IGN, "SIGHUP is not ignored");
  MPI_Barrier(MPI_COMM_WORLD);
}

static _Thread_local char local[4096];

void scenario_memory_layout(void) {
  enum { kBlocks = 300 };
  static char data[100000];
  size_t page = 4096;
  char* blocks[kBlocks];
  char* map = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* zero = mmap(NULL, 256 << 20, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(map != MAP_FAILED && zero != MAP_FAILED, "mmap: %s", strerror(errno));
  for (int i = 0; i < kBlocks; i++) {
    blocks[i] = malloc((size_t)(i * 97 + 1));
    fill(blocks[i], (size_t)(i * 97 + 1), (unsigned)i);
  }
  fill(map, 64 * page, 1);
  fill(data, sizeof data, 2);
  fill(local, sizeof local, 3);
  zero[100 << 20] = 7; /* one page of many */
  mprotect(map + 8 * page, page, PROT_READ);
  mprotect(map + 16 * page, page, PROT_NONE);
  munmap(map + 32 * page, 8 * page);
  void* end = sbrk(0);
  hold();
  CHECK(sbrk(0) == end, "the break moved");
  for (int i = 0; i < kBlocks; i++) {
    CHECK(filled(blocks[i], (size_t)(i * 97 + 1), (unsigned)i), "block %d", i);
    free(blocks[i]);
  }
  CHECK(filled(data, sizeof data, 2) && filled(local, sizeof local, 3), "data and TLS");
  for (int i = 0; i < 1 << 20; i++)
    CHECK(zero[(size_t)i * 256] == (i * 256 == 100 << 20 ? 7 : 0), "page of zeros, offset %d",
          i * 256);
  mprotect(map + 16 * page, page, PROT_READ);
  char* whole = malloc(64 * page);
  fill(whole, 64 * page, 1);
  CHECK(memcmp(map, whole, 32 * page) == 0, "mapping");
  CHECK(memcmp(map + 40 * page, whole + 40 * page, 24 * page) == 0, "mapping behind the hole");
  int fds[2]; /* write(2) from memory says EFAULT where none is; read-only is refused too */
  CHECK(pipe(fds) == 0, "pipe");
  CHECK(write(fds[1], map + 33 * page, 1) == -1 && errno == EFAULT, "the hole is mapped");
  CHECK(write(fds[1], "x", 1) == 1, "write");
  CHECK(read(fds[0], map + 8 * page, 1) == -1 && errno == EFAULT, "read-only page is writable");
  close(fds[0]);
  close(fds[1]);
  free(whole);
  munmap(map, 64 * page);
  munmap(zero, 256 << 20);
}

void scenario_floating_point(void) {
  fesetround(FE_UPWARD);
  unsigned control = _mm_getcsr() | 0x8040; /* flush to zero, denormals are zero */
  _mm_setcsr(control);
  volatile double one = 1.0, three = 3.0;
  double up = one / three;
  hold();
  CHECK(fegetround() == FE_UPWARD, "rounding mode");
  CHECK((_mm_getcsr() & ~0x3fu) == (control & ~0x3fu), "MXCSR %x", _mm_getcsr());
  double again = one / three;
  CHECK(again == up && up > 0x1.5555555555555p-2, "1/3 is %a, was %a", again, up);
  _mm_setcsr(control & ~0x8040u);
  fesetround(FE_TONEAREST);
  MPI_Barrier(MPI_COMM_WORLD);
}

static long descend(int depth) {
  volatile char frame[1024];
  memset((char*)frame, depth & 0x7f, sizeof frame);
  if (depth == 500) hold();
  long below = depth < 3000 ? descend(depth + 1) : 0;
  for (size_t i = 0; i < sizeof frame; i++)
    CHECK(frame[i] == (char)(depth & 0x7f), "frame %d changed", depth);
  return below + depth;
}

void scenario_deep_stack(void) {
  CHECK(descend(0) == 3000L * 3001 / 2, "sum of the depths");
  MPI_Barrier(MPI_COMM_WORLD);
}
