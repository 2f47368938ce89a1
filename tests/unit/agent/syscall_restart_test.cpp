#include "agent/tracee/syscall_restart.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <cerrno>

namespace ckpt::tracee {
namespace {

constexpr std::uint64_t kRip = 0x401000;

Registers in_call(long number, int result) {
  Registers registers{};
  registers.rip = kRip;
  registers.orig_rax = static_cast<std::uint64_t>(number);
  registers.rax = static_cast<std::uint64_t>(static_cast<std::int64_t>(-result));
  return registers;
}

bool made_again(const Registers& registers, long number) {
  return registers.rip == kRip - 2 && registers.rax == static_cast<std::uint64_t>(number) &&
         registers.orig_rax == ~0ull;
}

bool interrupted(const Registers& registers) {
  return registers.rip == kRip && static_cast<std::int64_t>(registers.rax) == -EINTR &&
         registers.orig_rax == ~0ull;
}

CodeBefore call_of(std::uint32_t number) {
  return {
      0xb8, static_cast<std::uint8_t>(number), static_cast<std::uint8_t>(number >> 8), 0, 0, 0x0f,
      0x05};
}

TEST(SyscallRestart, SimpleRestartsAreMadeAgain) {
  for (const int code : {512, 513, 514})
    EXPECT_TRUE(made_again(registers_for_image(in_call(SYS_read, code), {}), SYS_read)) << code;
}

TEST(SyscallRestart, ResultsAndUserCodeAreLeftAlone) {
  Registers done = in_call(SYS_read, 0);
  done.rax = 17;
  EXPECT_EQ(registers_for_image(done, {}).rip, kRip);
  EXPECT_EQ(registers_for_image(done, {}).rax, 17u);
  Registers computing = in_call(SYS_read, 512);
  computing.orig_rax = ~0ull;
  EXPECT_EQ(registers_for_image(computing, {}).rip, kRip);
}

TEST(SyscallRestart, RelativeWaitsAreMadeAgain) {
  EXPECT_TRUE(made_again(registers_for_image(in_call(SYS_poll, 516), {}), SYS_poll));
  EXPECT_TRUE(made_again(registers_for_image(in_call(SYS_futex, 516), {}), SYS_futex));
}

TEST(SyscallRestart, NanosleepGoesOnWithWhatRemains) {
  Registers sleep = in_call(SYS_nanosleep, 516);
  sleep.rdi = sleep.rsi = 0x7000;  // sleep(3): the kernel has written what remains there
  EXPECT_TRUE(made_again(registers_for_image(sleep, {}), SYS_nanosleep));
  sleep.rsi = 0;
  EXPECT_TRUE(made_again(registers_for_image(sleep, {}), SYS_nanosleep));
  sleep.rsi = 0x8000;
  EXPECT_TRUE(interrupted(registers_for_image(sleep, {})));

  Registers clock = in_call(SYS_clock_nanosleep, 516);
  clock.rdx = 0x7000;
  clock.r10 = 0x8000;
  EXPECT_TRUE(interrupted(registers_for_image(clock, {})));
  clock.rsi = 1;  // TIMER_ABSTIME
  EXPECT_TRUE(made_again(registers_for_image(clock, {}), SYS_clock_nanosleep));
}

TEST(SyscallRestart, ASecondRestartFindsTheNumberInTheCode) {
  const Registers twice = in_call(SYS_restart_syscall, 516);
  EXPECT_TRUE(made_again(registers_for_image(twice, call_of(SYS_poll)), SYS_poll));
  EXPECT_TRUE(interrupted(registers_for_image(twice, {})));
  EXPECT_TRUE(interrupted(registers_for_image(twice, CodeBefore{})));
}

TEST(SyscallRestart, AnInterruptionOfOursIsUndone) {
  EXPECT_TRUE(made_again(registers_to_resume(in_call(SYS_epoll_wait, EINTR)), SYS_epoll_wait));
  EXPECT_EQ(registers_to_resume(in_call(SYS_read, EINTR)).rip, kRip);
  EXPECT_EQ(registers_to_resume(in_call(SYS_read, 512)).rip, kRip);  // the kernel's business
}

TEST(SyscallRestart, ARestartableSequenceIsLeft) {
  Registers inside{};
  inside.rip = 0x1008;
  leave_rseq_section(inside, {0x1000, 0x10, 0x2000});
  EXPECT_EQ(inside.rip, 0x2000u);
  inside.rip = 0x1010;
  leave_rseq_section(inside, {0x1000, 0x10, 0x2000});
  EXPECT_EQ(inside.rip, 0x1010u);
}

}  // namespace
}  // namespace ckpt::tracee
