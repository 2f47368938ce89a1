// One agent per node and job, and nothing left of those that were killed.
#include "agent/relay/node_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "format/posix/private_directory.hpp"

namespace ckpt::relay {
namespace {

struct NodeDirectoryTest : testing::Test {
  std::string base;
  void SetUp() override {
    char path[] = "/tmp/ckpt-node-directory-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    base = path;
  }
  void TearDown() override { std::filesystem::remove_all(base); }
  // As a killed agent leaves it, `seconds` ago.
  std::string leftover(const std::string& name, int seconds) const {
    const std::string path = base + "/" + name;
    EXPECT_TRUE(make_private_directory(path));
    for (const char* file : {"/agent.sock", "/agent.lock", "/agent.err"})
      std::ofstream(path + file).put('x');
    ::chmod((path + "/agent.lock").c_str(), 0600);
    timeval times[2] = {{::time(nullptr) - seconds, 0}, {::time(nullptr) - seconds, 0}};
    ::utimes(path.c_str(), times);
    return path;
  }
};

TEST_F(NodeDirectoryTest, TheSecondAgentIsRefused) {
  const std::string socket = base + "/node/agent.sock";
  {
    auto first = NodeDirectory::claim(socket, -1);
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_EQ(NodeDirectory::claim(socket, -1).error().code, EWOULDBLOCK);
  }
  EXPECT_FALSE(std::filesystem::exists(base + "/node")) << "it cleans up";
  EXPECT_TRUE(NodeDirectory::claim(socket, -1));
}

TEST_F(NodeDirectoryTest, RemovedByAnotherThreadItIsRemovedOnce) {
  const std::string socket = base + "/node/agent.sock";
  auto first = std::make_optional(NodeDirectory::claim(socket, -1));
  ASSERT_TRUE(*first);
  const auto remove = (*first)->remover();
  remove();
  EXPECT_FALSE(std::filesystem::exists(base + "/node"));
  const auto second = NodeDirectory::claim(socket, -1);
  ASSERT_TRUE(second) << second.error().message();
  remove();
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(base + "/node/agent.lock")) << "the second one's";
}

TEST_F(NodeDirectoryTest, AnInheritedLockIsTakenOver) {
  ASSERT_TRUE(make_private_directory(base + "/node"));
  auto lock = lock_private_file(base + "/node/agent.lock");
  ASSERT_TRUE(lock);
  auto claimed = NodeDirectory::claim(base + "/node/agent.sock", ::dup(lock->get()));
  lock->reset();
  ASSERT_TRUE(claimed);
  EXPECT_EQ(lock_private_file(base + "/node/agent.lock").error().code, EWOULDBLOCK);
  EXPECT_FALSE(NodeDirectory::claim(base + "/other/agent.sock", 9999));
}

TEST_F(NodeDirectoryTest, LeftoversOfKilledAgentsGo) {
  const std::string prefix = "ckpt-coord-" + std::to_string(::geteuid()) + "-";
  const std::string dead = leftover(prefix + "dead", 100), young = leftover(prefix + "young", 5);
  const std::string held = leftover(prefix + "held", 100), other = leftover("other-dir", 100);
  const auto lock = lock_private_file(held + "/agent.lock");
  ASSERT_TRUE(lock);
  std::filesystem::create_directory(base + "/elsewhere");
  std::filesystem::create_symlink(base + "/elsewhere", base + "/" + prefix + "link");
  sweep_node_directories(base);
  EXPECT_FALSE(std::filesystem::exists(dead));
  for (const std::string& path : {young, held, other})
    EXPECT_TRUE(std::filesystem::exists(path + "/agent.sock")) << path;
  EXPECT_TRUE(std::filesystem::is_empty(base + "/elsewhere"));
}

}  // namespace
}  // namespace ckpt::relay
