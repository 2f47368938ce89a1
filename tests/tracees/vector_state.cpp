// Registers: vector, x87 and control words, held by code that is interrupted
// by the snapshot while it uses them, in several threads.
#include <immintrin.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "tests/tracees/tracee.hpp"

namespace {

// Fills the registers, spins on the pid in them until it changes, and compares.
__attribute__((target("avx"))) void hold(std::uint64_t seed) {
  alignas(32) std::uint64_t in[8], out[8];
  for (int i = 0; i < 8; ++i) in[i] = seed * 1000003 + static_cast<std::uint64_t>(i) * 7919;
  const std::uint32_t control = 0x1f80 | 0x6000;  // round to zero
  std::uint32_t control_after = 0;
  const double x87_in = 1.0 / static_cast<double>(seed);
  double x87_out = 0;
  std::uint64_t general = seed ^ 0x5a5a5a5a5a5a5a5aull, general_out = 0;
  asm volatile(
      "ldmxcsr %[control]\n\t"
      "vmovdqa (%[in]), %%ymm3\n\t"
      "vmovdqa 32(%[in]), %%ymm15\n\t"
      "fldl %[x87_in]\n\t"
      "mov %[general], %%r15\n\t"
      "mov $39, %%eax\n\t"
      "syscall\n\t"
      "mov %%eax, %%r14d\n"
      "1: mov $39, %%eax\n\t"
      "syscall\n\t"
      "mov $20000, %%ecx\n"
      "2: dec %%ecx\n\t"
      "jnz 2b\n\t"
      "cmp %%eax, %%r14d\n\t"
      "je 1b\n\t"
      "mov %%r15, %[general_out]\n\t"
      "fstpl %[x87_out]\n\t"
      "vmovdqa %%ymm3, (%[out])\n\t"
      "vmovdqa %%ymm15, 32(%[out])\n\t"
      "stmxcsr %[control_after]\n\t"
      "vzeroupper\n\t"
      :
      [x87_out] "=m"(x87_out), [control_after] "=m"(control_after), [general_out] "=m"(general_out)
      : [in] "r"(in), [out] "r"(out), [control] "m"(control), [x87_in] "m"(x87_in),
        [general] "m"(general)
      : "rax", "rcx", "r11", "r14", "r15", "xmm3", "xmm15", "memory");
  for (int i = 0; i < 8; ++i) EXPECT(in[i] == out[i]);
  EXPECT((control_after & 0x6000) == 0x6000);
  EXPECT(x87_in == x87_out);
  EXPECT(general_out == general);
  const std::uint32_t usual = 0x1f80;
  asm volatile("ldmxcsr %0" : : "m"(usual));
}

void rounds(std::uint64_t seed) {
  for (int i = 0; i < restarts_wanted(); ++i) hold(seed + static_cast<std::uint64_t>(i));
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (std::uint64_t i = 1; i <= 3; ++i) threads.emplace_back(rounds, i * 17);
  std::printf("ready\n");
  std::fflush(stdout);
  for (int i = 1; i <= restarts_wanted(); ++i) {
    hold(5 + static_cast<std::uint64_t>(i));
    std::printf("restarted %d\n", i);
    std::fflush(stdout);
  }
  for (auto& thread : threads) thread.join();
  good();
}
