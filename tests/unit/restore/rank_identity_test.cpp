#include "agent/restore/rank_identity.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace ckpt::restore {
namespace {

class RankIdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"CKPT_RESTART_IMAGE", "PMIX_RANK", "OMPI_COMM_WORLD_RANK",
                             "OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE"}) {
      ::unsetenv(name);
    }
  }
};

TEST_F(RankIdentityTest, comes_from_options_or_the_environment) {
  EXPECT_FALSE(find_identity("", 0));
  EXPECT_FALSE(find_identity("g.h5", -1));
  ::setenv("CKPT_RESTART_IMAGE", "e.h5", 1);
  ::setenv("PMIX_RANK", "3", 1);
  ::setenv("PMIX_NAMESPACE", "123/../x", 1);
  auto found = find_identity("", -1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->image, "e.h5");
  EXPECT_EQ(found->rank, 3);
  EXPECT_EQ(found->sharing_token.find('/'), std::string::npos);
  found = find_identity("g.h5", 7);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->image, "g.h5");
  EXPECT_EQ(found->rank, 7);
  ::setenv("PMIX_RANK", "three", 1);
  EXPECT_FALSE(find_identity("", -1));
}

TEST_F(RankIdentityTest, the_world_has_the_size_it_had) {
  RankIdentity identity;
  image::JobRecord job;
  job.world_size = 4;
  EXPECT_TRUE(check_world_size(identity, job));
  identity.world_size = 4;
  EXPECT_TRUE(check_world_size(identity, job));
  identity.world_size = 2;
  auto refused = check_world_size(identity, job);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("the job has 4 ranks, mpirun started 2"),
            std::string::npos);
}

}  // namespace
}  // namespace ckpt::restore
