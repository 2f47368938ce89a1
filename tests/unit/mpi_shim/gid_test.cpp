#include <gtest/gtest.h>

#include <set>

#include "mpi_shim/objects/communicators.hpp"

namespace ckpt::shim {
namespace {

TEST(Gid, IsTheSameAtAllMembers) {
  Communicator here, there;  // two ranks' records of one parent
  here.gid = there.gid = 77;
  here.clock.begun = there.clock.begun = 5;
  here.rank = 0;
  there.rank = 3;
  EXPECT_EQ(derived_gid(here, {0, 3, 4}), derived_gid(there, {0, 3, 4}));
  EXPECT_EQ(group_gid(here, {0, 3}, 9, 1), group_gid(there, {0, 3}, 9, 1));
}

TEST(Gid, DiffersByParentTimeAndMembers) {
  Communicator parent;
  std::set<std::uint64_t> seen;
  int made = 0;
  for (parent.gid = 1; parent.gid < 20; ++parent.gid)
    for (parent.clock.begun = 1; parent.clock.begun < 20; ++parent.clock.begun)
      for (const auto& members : {std::vector<int>{0}, {0, 1}, {1, 0}, {0, 1, 2}}) {
        seen.insert(derived_gid(parent, members));
        seen.insert(group_gid(parent, members, 0, parent.clock.begun));
        seen.insert(group_gid(parent, members, 1, parent.clock.begun));
        made += 3;
      }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(made));
}

TEST(Gid, StaysClearOfWorldAndSelf) {
  Communicator parent;
  parent.gid = 1;
  for (parent.clock.begun = 0; parent.clock.begun < 10000; ++parent.clock.begun) {
    const std::uint64_t gid = derived_gid(parent, {0, 1});
    EXPECT_GT(gid, 1u);
    EXPECT_EQ(gid >> 63, 0u);
  }
}

}  // namespace
}  // namespace ckpt::shim
