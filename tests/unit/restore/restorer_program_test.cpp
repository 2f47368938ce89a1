#include "agent/restore/restorer_program.hpp"

#include <gtest/gtest.h>

namespace ckpt::restore {
namespace {

TEST(RestorerProgram, loads_into_the_arena) {
  const std::uint64_t at = CKPT_RESTORER_ZONE_START + (60ull << 30);
  auto entry = load_restorer(CKPT_RESTORER_PATH, at);
  ASSERT_TRUE(entry) << entry.error().message();
  EXPECT_GE(*entry, at);
  EXPECT_LT(*entry, at + (1 << 20));
  EXPECT_FALSE(load_restorer(CKPT_RESTORER_PATH, at)) << "the place is taken";
}

TEST(RestorerProgram, refuses_other_programs) {
  const std::uint64_t at = CKPT_RESTORER_ZONE_START + (61ull << 30);
  auto dynamic = load_restorer("/bin/sh", at);
  ASSERT_FALSE(dynamic);
  EXPECT_NE(dynamic.error().message().find("/bin/sh"), std::string::npos);
  EXPECT_FALSE(load_restorer("/etc/passwd", at));
  EXPECT_FALSE(load_restorer("/no/such/file", at));
}

}  // namespace
}  // namespace ckpt::restore
