#include "agent/restore/arena_memory.hpp"

#include <gtest/gtest.h>

#include "agent/restorer/restore_plan.h"

namespace ckpt::restore {
namespace {

constexpr std::uint64_t kStart = CKPT_RESTORER_ZONE_START + (40ull << 30);

TEST(ArenaMemory, hands_out_zeroed_aligned_memory_at_its_place) {
  ArenaMemory memory(kStart, kStart + (64 << 20));
  auto bytes = memory.allocate(10, 64);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(*bytes), kStart);
  auto words = memory.array<std::uint64_t>(1 << 20);  // larger than one growth
  ASSERT_TRUE(words);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(*words) % 8, 0u);
  EXPECT_EQ((*words)[0], 0u);
  EXPECT_EQ((*words)[(1 << 20) - 1], 0u);
  EXPECT_GE(memory.size(), 8u << 20);
}

TEST(ArenaMemory, says_when_it_is_full) {
  ArenaMemory memory(kStart + (1ull << 30), kStart + (1ull << 30) + 4096);
  auto bytes = memory.allocate(8192);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, ENOMEM);
}

TEST(ArenaMemory, refuses_a_place_in_use) {
  ArenaMemory first(kStart + (2ull << 30), kStart + (3ull << 30));
  ASSERT_TRUE(first.allocate(1));
  ArenaMemory second(kStart + (2ull << 30), kStart + (3ull << 30));
  auto bytes = second.allocate(1);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, EEXIST);
}

}  // namespace
}  // namespace ckpt::restore
