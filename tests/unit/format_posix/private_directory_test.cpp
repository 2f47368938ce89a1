// A directory of ours alone below /tmp, and the lock in it.
#include "format/posix/private_directory.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "format/posix/cache_directory.hpp"

namespace ckpt {
namespace {

class PrivateDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/ckpt-private-directory-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    base = path;
  }
  void TearDown() override { std::filesystem::remove_all(base); }
  static unsigned mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  std::string base;
};

TEST_F(PrivateDirectory, IsMadeForUsAloneWhateverTheUmask) {
  for (const mode_t mask : {0u, 077u, 0777u}) {
    const std::string path = base + "/d" + std::to_string(mask);
    const mode_t before = ::umask(mask);
    const Status made = make_private_directory(path);
    const auto lock = lock_private_file(path + "/lock");
    ::umask(before);
    ASSERT_TRUE(made) << made.error().message();
    ASSERT_TRUE(lock) << lock.error().message();
    EXPECT_EQ(mode_of(path), 0700u);
    EXPECT_EQ(mode_of(path + "/lock"), 0600u);
    EXPECT_TRUE(make_private_directory(path)) << "it is there already";
  }
}

TEST_F(PrivateDirectory, WhatOthersMayUseIsRefused) {
  const std::string path = base + "/open";
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0750), 0);
  EXPECT_EQ(make_private_directory(path).error().code, EPERM);
  EXPECT_EQ(mode_of(path), 0750u) << "not ours to change";
}

TEST_F(PrivateDirectory, SymlinksAreNotFollowed) {
  std::filesystem::create_directory(base + "/target");
  ::chmod((base + "/target").c_str(), 0700);
  std::filesystem::create_symlink(base + "/target", base + "/link");
  EXPECT_EQ(make_private_directory(base + "/link").error().code, EPERM);
  std::filesystem::create_symlink(base + "/elsewhere", base + "/lock");
  EXPECT_EQ(lock_private_file(base + "/lock").error().code, ELOOP);
  EXPECT_FALSE(std::filesystem::exists(base + "/elsewhere"));
}

TEST_F(PrivateDirectory, AFileOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make one";
  std::ofstream(base + "/lock").put('x');
  ASSERT_EQ(::chown((base + "/lock").c_str(), 65534, 65534), 0);
  EXPECT_EQ(lock_private_file(base + "/lock").error().code, EPERM);
  ASSERT_EQ(::mkdir((base + "/theirs").c_str(), 0700), 0);
  ASSERT_EQ(::chown((base + "/theirs").c_str(), 65534, 65534), 0);
  EXPECT_EQ(make_private_directory(base + "/theirs").error().code, EPERM);
}

TEST_F(PrivateDirectory, OneHoldsTheLockUntilItsLastDescriptorGoes) {
  auto first = lock_private_file(base + "/lock", 100);
  ASSERT_TRUE(first);
  EXPECT_GE(first->get(), 100);
  EXPECT_EQ(lock_private_file(base + "/lock").error().code, EWOULDBLOCK);
  // Inherited: as an agent has it from a rank.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::close(ends[1]);
    static_cast<void>(!::read(ends[0], &byte, 1));
    ::_exit(0);
  }
  ::close(ends[0]);
  first->reset();
  EXPECT_EQ(lock_private_file(base + "/lock").error().code, EWOULDBLOCK);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(lock_private_file(base + "/lock"));
}

TEST_F(PrivateDirectory, IsOpenedItselfAndClosedToReadersOnWish) {
  const std::string path = base + "/job";
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  EXPECT_TRUE(open_private_directory(path, OthersMayRead::yes));
  EXPECT_EQ(open_private_directory(path, OthersMayRead::no).error().code, EPERM);
  EXPECT_TRUE(open_private_directory(path, OthersMayRead::end_it));
  EXPECT_EQ(mode_of(path), 0700u);
  ASSERT_EQ(::chmod(path.c_str(), 0770), 0);
  EXPECT_EQ(open_private_directory(path, OthersMayRead::end_it).error().code, EPERM);
  EXPECT_EQ(mode_of(path), 0770u) << "something may lie in it";
  ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  std::filesystem::create_symlink(path, base + "/link");
  const auto link = open_private_directory(base + "/link", OthersMayRead::yes);
  ASSERT_FALSE(link);
  EXPECT_NE(link.error().message().find("symbolic link"), std::string::npos);
}

TEST_F(PrivateDirectory, ALockThatWasRemovedMeanwhileIsNotHeld) {
  auto old = lock_private_file(base + "/lock");
  ASSERT_TRUE(old);
  // Its holder ends: removes it, then lets it go. Who comes then has a new one.
  ASSERT_EQ(::unlink((base + "/lock").c_str()), 0);
  auto fresh = lock_private_file(base + "/lock");
  ASSERT_TRUE(fresh);
  old->reset();
  EXPECT_EQ(lock_private_file(base + "/lock").error().code, EWOULDBLOCK);
}

TEST_F(PrivateDirectory, OfTheCacheIsMadeInTheHomeOnlyWhereItIsNeeded) {
  const char* home = std::getenv("HOME");
  const std::string before = home != nullptr ? home : "";
  ::setenv("HOME", base.c_str(), 1);
  ::unsetenv("CKPT_CACHE_DIR");
  const bool needed = cache_directory().starts_with(base);
  EXPECT_EQ(std::filesystem::exists(base + "/.cache"), needed);
  ::setenv("HOME", before.c_str(), 1);
}

}  // namespace
}  // namespace ckpt
