#include "agent/restore/process_plan.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

namespace ckpt::restore {
namespace {

constexpr std::uint64_t kAvx = 7;  // x87, SSE, AVX

ExtendedState avx_machine() {
  return {kAvx, [](int feature) -> std::uint64_t { return feature == 2 ? 832 : 0; }};
}

std::vector<std::uint8_t> xsave(std::uint64_t enabled, std::uint64_t in_use, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  std::memcpy(bytes.data() + 464, &enabled, 8);
  std::memcpy(bytes.data() + 512, &in_use, 8);
  return bytes;
}

image::Thread thread(int tid) {
  image::Thread one;
  one.tid = tid;
  one.name = "worker-with-a-long-name";
  one.registers.resize(216);
  one.xsave = xsave(kAvx, kAvx, 832);
  return one;
}

class ProcessPlan : public testing::Test {
 protected:
  static inline std::uint64_t next_place = CKPT_RESTORER_ZONE_START + (20ull << 30);
  void SetUp() override { next_place += 64 << 20; }
  ArenaMemory memory{next_place, next_place + (64 << 20)};
  image::Process process;
  ckpt_restore_plan plan{};
};

TEST_F(ProcessPlan, gives_each_thread_a_stack_and_an_aligned_frame) {
  process.threads = {thread(10), thread(11)};
  process.threads[1].pending_signals = {std::vector<std::uint8_t>(128, 5)};
  ASSERT_TRUE(plan_threads(process, avx_machine(), memory, plan));
  ASSERT_EQ(plan.thread_count, 2u);
  EXPECT_NE(plan.threads[0].stack_top, plan.threads[1].stack_top);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(plan.threads[1].xsave) % 64, 0u);
  EXPECT_EQ(plan.threads[1].xsave_size, 832u);
  EXPECT_EQ(plan.threads[1].xsave_features, kAvx);
  EXPECT_EQ(plan.threads[1].pending_count, 1u);
  EXPECT_EQ(plan.threads[1].pending[127], 5);
  EXPECT_STREQ(plan.threads[0].name, "worker-with-a-l");
}

TEST_F(ProcessPlan, takes_no_more_state_than_is_in_use) {
  process.threads = {thread(10)};
  process.threads[0].xsave = xsave(kAvx, 1, 11008);
  ASSERT_TRUE(plan_threads(process, avx_machine(), memory, plan));
  EXPECT_EQ(plan.threads[0].xsave_size, 576u);
}

TEST_F(ProcessPlan, refuses_a_lesser_processor) {
  process.threads = {thread(10)};
  process.threads[0].xsave = xsave(0xe7, 0xe7, 2696);
  auto planned = plan_threads(process, avx_machine(), memory, plan);
  ASSERT_FALSE(planned);
  EXPECT_NE(planned.error().message().find("XCR0 0xe7, here 0x7"), std::string::npos);
}

TEST_F(ProcessPlan, refuses_another_layout_of_vector_state) {
  process.threads = {thread(10)};
  process.threads[0].xsave = xsave(kAvx, kAvx, 700);
  EXPECT_FALSE(plan_threads(process, avx_machine(), memory, plan));
}

TEST_F(ProcessPlan, a_timer_finds_its_thread_again) {
  process.threads = {thread(10), thread(11)};
  image::PosixTimer timer;
  timer.id = 3;
  timer.notify = 4;
  timer.notify_tid = 11;
  process.posix_timers = {timer};
  timer.id = 1;
  process.posix_timers.push_back(timer);
  ASSERT_TRUE(plan_timers(process, memory, plan));
  EXPECT_EQ(plan.timers[0].id, 1);
  EXPECT_EQ(plan.timers[1].notify_thread, 1);
  process.posix_timers[0].notify_tid = 12;
  EXPECT_FALSE(plan_timers(process, memory, plan));
}

TEST_F(ProcessPlan, an_expired_interval_timer_runs_on) {
  process.interval_timers[0] = {20000, 0};
  process.interval_timers[1] = {20000, 5};
  ASSERT_TRUE(plan_timers(process, memory, plan));
  EXPECT_EQ(plan.interval_timers_us[0][1], 20000);
  EXPECT_EQ(plan.interval_timers_us[1][1], 5);
  EXPECT_EQ(plan.interval_timers_us[2][1], 0);
}

TEST_F(ProcessPlan, auxv_ends_where_it_ends) {
  ParkedFiles files(500);
  process.layout.start_code = process.layout.end_code = 0x400000;
  process.layout.auxv = {AT_PAGESZ, 4096, AT_NULL, 0, 77, 77};
  process.executable = "/no/such/program";
  ASSERT_TRUE(plan_layout(process, memory, files, plan));
  EXPECT_EQ(plan.layout.auxv_size, 32u);
  EXPECT_GT(plan.layout.end_code, plan.layout.start_code);
  EXPECT_EQ(plan.layout.executable_fd, -1);
}

}  // namespace
}  // namespace ckpt::restore
