#include "mpi_shim/detached_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "mpi_shim/host/raw_syscalls.h"

namespace ckpt::shim {

namespace {

constexpr std::size_t kChildStack = 32 << 10;

// Memory is shared with the rank until the program runs: what is prepared here
// is all the two processes between may touch, and they make bare system calls (a
// libc call could find a lock that another thread holds), but for clone(): it takes
// none, and the errno it sets is that of the thread that waits for them.
struct Start {
  const char* path;
  char* const* arguments;
  char* const* environment;
  const char* output;
  int kept;
  alignas(16) char between_stack[kChildStack];
  alignas(16) char program_stack[kChildStack];
  volatile int error = 0;
};

struct KernelSignalAction {
  unsigned long handler, flags, restorer, mask;
};

void default_signals() {
  const KernelSignalAction by_default = {};
  for (int number = 1; number <= 64; ++number)
    raw::call(SYS_rt_sigaction, number, raw::word(&by_default), 0, 8);
  const unsigned long none = 0;
  raw::call(SYS_rt_sigprocmask, SIG_SETMASK, raw::word(&none), 0, 8);
}

long keep_one_descriptor(const Start& start) {
  long done = start.kept == DetachedProgram::kKept
                  ? raw::call(SYS_fcntl, start.kept, F_SETFD, 0)
                  : raw::call(SYS_dup3, start.kept, DetachedProgram::kKept, 0);
  if (raw::failed(done)) return done;
  done = raw::call(SYS_close_range, DetachedProgram::kKept + 1, ~0u, 0);
  if (raw::failed(done)) return done;
  for (int i = 0; i < DetachedProgram::kKept; ++i) raw::close(i);
  // Each gets the lowest free number: 0, 1, 2.
  if (raw::open("/dev/null", O_RDWR) != 0) return -EBADF;
  if (raw::open(start.output, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600) < 0)
    raw::call(SYS_dup, 0);
  raw::call(SYS_dup, 1);
  return 0;
}

int become_program(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  const long done = keep_one_descriptor(start);
  if (!raw::failed(done)) {
    default_signals();
    start.error =
        static_cast<int>(-raw::call(SYS_execve, raw::word(start.path), raw::word(start.arguments),
                                    raw::word(start.environment)));
  } else {
    start.error = static_cast<int>(-done);
  }
  raw::call(SYS_exit_group, 127);
  return 127;
}

int stand_between(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  raw::call(SYS_setsid);
  const int made =
      clone(become_program, start.program_stack + kChildStack, CLONE_VM | CLONE_VFORK, &start);
  if (made < 0) start.error = errno;
  raw::call(SYS_exit_group, 0);
  return 0;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (const std::string& each : strings) all.push_back(const_cast<char*>(each.c_str()));
  all.push_back(nullptr);
  return all;
}

// A program that adopts orphans would get this one: not for the moment of its start.
class AdoptsNothing {
 public:
  AdoptsNothing() {
    if (prctl(PR_GET_CHILD_SUBREAPER, &adopted_) == 0 && adopted_ != 0)
      prctl(PR_SET_CHILD_SUBREAPER, 0UL);
  }
  ~AdoptsNothing() {
    if (adopted_ != 0) prctl(PR_SET_CHILD_SUBREAPER, 1UL);
  }
  AdoptsNothing(const AdoptsNothing&) = delete;
  AdoptsNothing& operator=(const AdoptsNothing&) = delete;

 private:
  int adopted_ = 0;
};

}  // namespace

Status start_detached(const DetachedProgram& program) {
  const std::vector<char*> arguments = pointers(program.arguments);
  const std::vector<char*> environment = pointers(program.environment);
  const auto start = std::make_unique<Start>();
  start->path = arguments[0];
  start->arguments = arguments.data();
  start->environment = environment.data();
  start->output = program.output.c_str();
  start->kept = program.kept;
  const AdoptsNothing adopts_nothing;
  const int between =
      clone(stand_between, start->between_stack + kChildStack, CLONE_VM | CLONE_VFORK, start.get());
  if (between < 0) return fail_errno("clone", program.arguments[0]);
  // ECHILD: a wait of the program with __WALL was faster.
  while (waitpid(between, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (start->error != 0) return fail_errno("start", program.arguments[0], start->error);
  return {};
}

}  // namespace ckpt::shim
