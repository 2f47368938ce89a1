#include <gtest/gtest.h>

#include "agent/tracee/remote_syscalls.hpp"
#include "agent/tracee/stopped_process.hpp"
#include "mpi_shim/host/lower_half.h"
#include "tests/unit/agent/fake_ptrace.hpp"

namespace ckpt::tracee {
namespace {

using Outcome = StoppedProcess::Outcome;

struct Stopping : testing::Test {
  FakePtrace kernel;

  void have(std::vector<int> tids) {
    for (const int tid : tids) kernel.threads[tid].registers.fs_base = 0x7f0000000000;
    kernel.task_lists.push_back(std::move(tids));
  }
};

TEST_F(Stopping, HoldsEveryThreadAndLetsAllGo) {
  have({10, 11, 12});
  {
    StoppedProcess process(kernel, 10);
    ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
    ASSERT_EQ(process.threads().size(), 3u);
    EXPECT_EQ(process.threads()[0].tid, 10);
  }
  for (const int tid : {10, 11, 12}) EXPECT_FALSE(kernel.threads[tid].seized) << tid;
}

TEST_F(Stopping, FindsThreadsThatAppearMeanwhile) {
  have({10});
  have({10, 11});
  have({10, 11, 12});
  StoppedProcess process(kernel, 10);
  ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
  EXPECT_EQ(process.threads().size(), 3u);
}

TEST_F(Stopping, LetsLowerHalfThreadsRun) {
  have({10, 11});
  kernel.threads[11].registers.fs_base = CKPT_ARENA_START + 0x1000;
  StoppedProcess process(kernel, 10);
  ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
  ASSERT_EQ(process.threads().size(), 1u);
  EXPECT_FALSE(kernel.threads[11].seized);
}

TEST_F(Stopping, DoesNotDisturbASleepingLowerHalfThread) {
  have({10, 11});
  kernel.threads[11].sleeping_stack = CKPT_ARENA_START + 0x1000;
  StoppedProcess process(kernel, 10);
  ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
  EXPECT_FALSE(kernel.called("seize 11"));
}

TEST_F(Stopping, GivesASignalBackToItsThread) {
  have({10});
  kernel.threads[10].reports.push_back(WaitStatus::signal_stop(SIGUSR1));
  StoppedProcess process(kernel, 10);
  ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
  EXPECT_TRUE(kernel.called("resume " + std::to_string(SIGUSR1) + " 10"));
}

TEST_F(Stopping, AcceptsAGroupStop) {
  have({10});
  kernel.threads[10].reports.push_back(WaitStatus::event_stop(PTRACE_EVENT_STOP, SIGTSTP));
  StoppedProcess process(kernel, 10);
  ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
  EXPECT_TRUE(process.threads()[0].group_stopped);
}

TEST_F(Stopping, PassesOverADeadLeaderAndEndedThreads) {
  have({10, 11, 12});
  kernel.threads[10].seize_error = EPERM;
  kernel.threads[10].state = 'Z';
  kernel.threads[12].reports.push_back(WaitStatus::exit_code(0));
  StoppedProcess process(kernel, 10);
  ASSERT_EQ(process.stop(1000).value(), Outcome::stopped);
  ASSERT_EQ(process.threads().size(), 1u);
  EXPECT_EQ(process.threads()[0].tid, 11);
}

TEST_F(Stopping, AVanishedProcessIsAResult) {
  StoppedProcess process(kernel, 10);
  EXPECT_EQ(process.stop(1000).value(), Outcome::vanished);
}

TEST_F(Stopping, AForbiddenSeizeIsAnErrorAndFreesTheOthers) {
  have({10, 11});
  kernel.threads[11].seize_error = EPERM;
  StoppedProcess process(kernel, 10);
  ASSERT_FALSE(process.stop(1000));
  EXPECT_FALSE(kernel.threads[10].seized);
}

TEST_F(Stopping, AThreadThatDoesNotStopIsNamedAndTheOthersGoOn) {
  have({10, 11});
  kernel.threads[11].deaf = true;
  kernel.threads[11].state = 'D';
  StoppedProcess process(kernel, 10);
  auto outcome = process.stop(1000);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message(), "stop tid 11: it does not stop (state D)");
  EXPECT_FALSE(kernel.threads[10].seized);
}

struct Injecting : testing::Test {
  FakePtrace kernel;
  Registers own{};

  Injecting() {
    own.rip = 0x4000;
    own.rax = static_cast<std::uint64_t>(-512);
    own.orig_rax = 0;
    kernel.threads[10].registers = own;
    kernel.threads[10].mask = 0x5;
  }
};

TEST_F(Injecting, MakesTheCallAndPutsEverythingBack) {
  kernel.system_call = [](int, const Registers& r) {
    return static_cast<std::int64_t>(r.rip == 0x7000 && r.rdi == 7 ? 42 : -1);
  };
  {
    RemoteSyscalls calls(kernel, 10, RemoteAddress(0x7000), own, 1000);
    ASSERT_TRUE(calls.begin());
    EXPECT_EQ(kernel.threads[10].mask, ~0ull);
    EXPECT_EQ(calls.call(39, {7}).value(), 42);
  }
  const FakePtrace::Thread& thread = kernel.threads[10];
  EXPECT_EQ(thread.registers.rip, own.rip);
  EXPECT_EQ(thread.registers.rax, own.rax);
  EXPECT_EQ(thread.registers.orig_rax, own.orig_rax);
  EXPECT_EQ(thread.mask, 0x5u);
  EXPECT_TRUE(kernel.called("interrupt 10"));  // back in a stop where the kernel restarts calls
}

TEST_F(Injecting, WithoutACallNothingIsTouchedButTheMask) {
  {
    RemoteSyscalls calls(kernel, 10, RemoteAddress(0x7000), own, 1000);
    ASSERT_TRUE(calls.begin());
  }
  EXPECT_FALSE(kernel.called("set_registers 10"));
  EXPECT_EQ(kernel.threads[10].mask, 0x5u);
}

TEST_F(Injecting, PassesOverAStopRequestInBetween) {
  RemoteSyscalls calls(kernel, 10, RemoteAddress(0x7000), own, 1000);
  ASSERT_TRUE(calls.begin());
  kernel.threads[10].reports.push_back(WaitStatus::event_stop(PTRACE_EVENT_STOP));
  EXPECT_TRUE(calls.call(39));
}

TEST_F(Injecting, AThreadThatEndsIsAnError) {
  RemoteSyscalls calls(kernel, 10, RemoteAddress(0x7000), own, 1000);
  ASSERT_TRUE(calls.begin());
  kernel.threads[10].reports.push_back(WaitStatus::exit_code(1));
  auto result = calls.call(39);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ESRCH);
}

}  // namespace
}  // namespace ckpt::tracee
