// Handlers, an alternate stack, masks, pending signals (of the process and of
// a thread, queued ones in order), an interval timer and POSIX timers.
#include <signal.h>
#include <sys/time.h>

#include <atomic>

#include "tests/tracees/tracee.hpp"

namespace {

std::atomic<int> alarms = 0, timer_signals = 0, thread_timer_signals = 0;
std::atomic<int> queued[3], queued_count = 0, users = 0, directed = 0;
char alternate[64 << 10];

bool on_alternate_stack() {
  char here = 0;
  return &here >= alternate && &here < alternate + sizeof alternate;
}

void on_alarm(int) {
  EXPECT(on_alternate_stack());
  ++alarms;
}
void on_timer(int, siginfo_t* info, void*) {
  EXPECT(info->si_value.sival_int == 4711);
  ++timer_signals;
}
void on_thread_timer(int, siginfo_t*, void*) { ++thread_timer_signals; }
void on_queued(int, siginfo_t* info, void*) {
  EXPECT(queued_count < 3);
  queued[queued_count++] = info->si_value.sival_int;
}
void on_user(int) { ++users; }
void on_directed(int, siginfo_t* info, void*) {
  EXPECT(info->si_code == SI_TKILL);
  ++directed;
}

void handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  EXPECT(sigaction(signal, &action, nullptr) == 0);
}

timer_t start_timer(int notify, int signal, int value) {
  sigevent event{};
  event.sigev_notify = notify;
  event.sigev_signo = signal;
  event.sigev_value.sival_int = value;
  if (notify == SIGEV_THREAD_ID) event._sigev_un._tid = static_cast<int>(syscall(SYS_gettid));
  timer_t timer{};
  EXPECT(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const itimerspec every{{0, 20000000}, {0, 20000000}};
  EXPECT(timer_settime(timer, 0, &every, nullptr) == 0);
  return timer;
}

}  // namespace

int main() {
  stack_t stack{};
  stack.ss_sp = alternate;
  stack.ss_size = sizeof alternate;
  EXPECT(sigaltstack(&stack, nullptr) == 0);
  struct sigaction action {};
  action.sa_handler = on_alarm;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  EXPECT(sigaction(SIGALRM, &action, nullptr) == 0);
  signal(SIGUSR1, on_user);
  signal(SIGPIPE, SIG_IGN);
  handle(SIGRTMIN + 1, on_timer);
  handle(SIGRTMIN + 2, on_thread_timer);
  handle(SIGRTMIN + 3, on_queued);
  handle(SIGUSR2, on_directed);

  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGRTMIN + 3);
  EXPECT(sigprocmask(SIG_BLOCK, &blocked, &before) == 0);
  kill(getpid(), SIGUSR1);
  raise(SIGUSR2);
  for (int i = 1; i <= 3; ++i) sigqueue(getpid(), SIGRTMIN + 3, sigval{i});

  timer_t gone = start_timer(SIGEV_SIGNAL, SIGRTMIN + 1, 4711);
  timer_t timer = start_timer(SIGEV_SIGNAL, SIGRTMIN + 1, 4711);
  start_timer(SIGEV_THREAD_ID, SIGRTMIN + 2, 0);
  timer_delete(gone);  // so that the numbers have a gap
  const itimerval every{{0, 20000}, {0, 20000}};
  EXPECT(setitimer(ITIMER_REAL, &every, nullptr) == 0);

  await_restarts();
  const int alarms_then = alarms, timers_then = timer_signals,
            thread_timers_then = thread_timer_signals;
  EXPECT(users == 0 && directed == 0 && queued_count == 0);
  sigset_t now;
  EXPECT(sigprocmask(SIG_SETMASK, nullptr, &now) == 0);
  EXPECT(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGALRM) == 0);
  EXPECT(sigprocmask(SIG_SETMASK, &before, nullptr) == 0);
  EXPECT(users == 1 && directed == 1 && queued_count == 3);
  for (int i = 0; i < 3; ++i) EXPECT(queued[i] == i + 1);
  const long end = now_ms() + 5000;
  while ((alarms < alarms_then + 5 || timer_signals < timers_then + 5 ||
          thread_timer_signals < thread_timers_then + 5) &&
         now_ms() < end) {
  }
  EXPECT(alarms >= alarms_then + 5);
  EXPECT(timer_signals >= timers_then + 5);
  EXPECT(thread_timer_signals >= thread_timers_then + 5);
  struct sigaction ignored {};
  EXPECT(sigaction(SIGPIPE, nullptr, &ignored) == 0 && ignored.sa_handler == SIG_IGN);
  EXPECT(timer_delete(timer) == 0);
  good();
}
