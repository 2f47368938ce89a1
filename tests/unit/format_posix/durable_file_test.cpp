// Small files are old or new, whatever fails and whenever the power goes.
#include "format/posix/durable_file.hpp"

#include <gtest/gtest.h>

#include "tests/fakes/fake_file_system.hpp"

namespace ckpt {
namespace {

using fakes::FakeFileSystem;
using fakes::Survival;

constexpr char kPath[] = "/job/job.json";
const std::string kOld = "old content", kNew(10'000, 'n');

std::unique_ptr<FakeFileSystem> with_old_file() {
  auto files = std::make_unique<FakeFileSystem>();
  EXPECT_TRUE(make_directories(*files, "/job"));
  EXPECT_TRUE(write_durably(*files, kPath, kOld));
  return files;
}

std::uint64_t steps_of_a_write() {
  const auto files = with_old_file();
  const auto before = files->steps();
  EXPECT_TRUE(write_durably(*files, kPath, kNew));
  return files->steps() - before;
}

TEST(DurableFile, WritesAndReads) {
  const auto files = with_old_file();
  EXPECT_EQ(*read_whole(*files, kPath), kOld);
  ASSERT_TRUE(write_durably(*files, kPath, kNew));
  EXPECT_EQ(*read_whole(*files, kPath), kNew);
  EXPECT_EQ(files->stat(kPath)->mode, 0600u);
  ASSERT_TRUE(write_durably(*files, kPath, ""));
  EXPECT_EQ(*read_whole(*files, kPath), "");
  EXPECT_EQ(files->list_directory("/job")->size(), 1u);
}

TEST(DurableFile, AFailureAtEveryStepLeavesTheOld) {
  const auto steps = steps_of_a_write();
  for (std::uint64_t at = 0; at < steps; ++at) {
    SCOPED_TRACE(at);
    const auto files = with_old_file();
    files->fail_step(files->steps() + at, ENOSPC);
    const auto written = write_durably(*files, kPath, kNew);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ENOSPC);
    // Only the last step, the directory's fsync, comes after the rename.
    EXPECT_EQ(*read_whole(*files, kPath), at + 1 == steps ? kNew : kOld);
    EXPECT_EQ(files->list_directory("/job")->size(), 1u) << "no temporary file stays";
  }
}

TEST(DurableFile, PowerCutAtEveryStep) {
  const auto steps = steps_of_a_write();
  for (std::uint64_t cut = 0; cut <= steps; ++cut) {
    for (const auto survival :
         {Survival::nothing, Survival::everything, Survival::some_a, Survival::some_b}) {
      SCOPED_TRACE(std::to_string(cut) + " " + std::to_string(static_cast<int>(survival)));
      const auto files = with_old_file();
      files->cut_power_at(files->steps() + cut);
      const bool written = write_durably(*files, kPath, kNew).has_value();
      EXPECT_EQ(written, cut == steps);
      const auto found = read_whole(*files->after_power_cut(survival), kPath);
      ASSERT_TRUE(found) << found.error().message();
      EXPECT_TRUE(*found == kNew || (*found == kOld && !written));
    }
  }
}

TEST(DurableFile, ReadWholeIsBounded) {
  const auto files = with_old_file();
  EXPECT_EQ(*read_whole(*files, kPath, kOld.size()), kOld);
  const auto read = read_whole(*files, kPath, kOld.size() - 1);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, EFBIG);
  EXPECT_EQ(read_whole(*files, "/job/none").error().message(),
            "open /job/none: No such file or directory");
}

TEST(DurableFile, ReadsFilesThatSayTheyAreEmpty) {
  const auto status = read_whole(linux_file_system(), "/proc/self/status");
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("VmRSS"), std::string::npos);
}

TEST(DurableFile, MakeDirectories) {
  FakeFileSystem files;
  ASSERT_TRUE(make_directories(files, "/a/b/c/"));
  EXPECT_TRUE(files.stat("/a/b")->directory);
  EXPECT_TRUE(make_directories(files, "/a/b"));
  ASSERT_TRUE(write_durably(files, "/a/file", "x"));
  const auto made = make_directories(files, "/a/file/d");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ENOTDIR);
}

}  // namespace
}  // namespace ckpt
