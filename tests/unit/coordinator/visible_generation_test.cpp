// A commit that fails: whose files it may remove.
#include "coordinator/server/visible_generation.hpp"

#include <gtest/gtest.h>

#include "coordinator/job_directory/incarnation_file.hpp"
#include "tests/fakes/fake_file_system.hpp"

namespace ckpt::coordinator {
namespace {

struct VisibleGeneration : ::testing::Test {
  void SetUp() override {
    ASSERT_TRUE(files.mkdir("/job", 0700));
    order.commit.generation = 5;
    order.writer = {1, 1};
    for (std::uint32_t agent = 0; agent < 2; ++agent) {
      const std::string node = "n" + std::to_string(agent);
      const std::string path = "/job/" + image::node_file_name(5, node);
      const std::string partial = image::partial_path(path, order.writer);
      order.commit.parts.push_back({agent, node, partial, 8, {static_cast<std::int32_t>(agent)}});
      order.ordered[agent] = partial;
      ASSERT_TRUE(files.open(partial, O_WRONLY | O_CREAT, 0600));
    }
  }
  bool there(const std::string& name) { return files.stat("/job/" + name).has_value(); }

  fakes::FakeFileSystem files;
  CommitOrder order;
  const LinkNodes fails = [](FileSystem&, const std::string&, const image::JobRecord&,
                             const std::vector<image::NodeFile>&) -> Status {
    return fail("link", "", "no space", ENOSPC);
  };
};

TEST_F(VisibleGeneration, WhatFailsInOfficeIsRemoved) {
  const Permission always{[] { return Status(); }, [] { return Status(); }};
  EXPECT_FALSE(make_visible(files, "/job", order, always, fails));
  EXPECT_TRUE(files.list_directory("/job")->empty());
}

// By then the name may be that of a successor's file.
TEST_F(VisibleGeneration, WhoIsOutOfOfficeRemovesNothing) {
  int asked = 0;
  const Permission once{[&asked]() -> Status {
                          if (asked++ == 0) return {};
                          return fail("commit", "", "another has the job", kSuperseded);
                        },
                        [] { return Status(); }};
  const auto done = make_visible(files, "/job", order, once, fails);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, kSuperseded);
  EXPECT_TRUE(there("gen-000005.node-n0.h5"));
  EXPECT_FALSE(there("gen-000005.h5"));
}

}  // namespace
}  // namespace ckpt::coordinator
