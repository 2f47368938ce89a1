#include "coordinator/job_directory/job_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ckpt::coordinator {
namespace {

class JobDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/ckpt-job-directory-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    base = path;
  }
  void TearDown() override { std::filesystem::remove_all(base); }
  std::string base;
  FileSystem& files = linux_file_system();
};

TEST_F(JobDirectoryTest, NamesAreCheckedAndPathsTaken) {
  EXPECT_EQ(*resolve_job_path("sim42", "/b"), "/b/sim42");
  EXPECT_EQ(*resolve_job_path("/scratch/x/", "/b"), "/scratch/x");
  for (const char* bad : {"", ".hidden", "-x", "a b", "a;b", "a\nb"}) {
    EXPECT_FALSE(resolve_job_path(bad, "/b")) << bad;
  }
}

TEST_F(JobDirectoryTest, JobComesBackWithAnyBytes) {
  const auto directory = JobDirectory::create(files, base + "/deep/sim");
  ASSERT_TRUE(directory);
  struct stat status {};
  ASSERT_EQ(::stat(directory->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  JobDescription job;
  job.name = "sim";
  job.command = {"mpirun", "", "a\"b\n"};
  job.environment = {"A=\xff\xfe", "HEX=hex:", "hex:41=1"};
  job.cwd = "/w \xe9";
  job.world_size = 4;
  job.options = {.every_seconds = 600,
                 .every_auto = true,
                 .mtbf_seconds = 86400,
                 .silence_ms = 9000,
                 .max_restarts = 4,
                 .spare_hosts = {"n3", "n4:2"},
                 .keep = 3,
                 .timeout_ms = 5000,
                 .on_unsupported = "native"};
  ASSERT_TRUE(directory->write_job(job));
  const auto read = directory->read_job();
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->command, job.command);
  EXPECT_EQ(read->environment, job.environment);
  EXPECT_EQ(read->cwd, job.cwd);
  EXPECT_EQ(read->options, job.options);
}

TEST_F(JobDirectoryTest, WhatIsNoJobIsNotOpened) {
  EXPECT_EQ(JobDirectory::open(files, base + "/none").error().code, ENOENT);
  std::filesystem::create_directory(base + "/other");
  const auto other = JobDirectory::open(files, base + "/other");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message().find("not a job directory"), std::string::npos);
}

TEST_F(JobDirectoryTest, ABrokenJobFileNamesItself) {
  const auto directory = JobDirectory::create(files, base + "/sim");
  std::ofstream(directory->file("job.json")) << "{\"job\": 3}";
  EXPECT_NE(directory->read_job().error().message().find("job.json"), std::string::npos);
  std::ofstream(directory->file("job.json")) << "no json";
  EXPECT_FALSE(directory->read_job());
}

TEST_F(JobDirectoryTest, TheAddressIsForTheUserAlone) {
  const auto directory = JobDirectory::create(files, base + "/sim");
  EXPECT_EQ(directory->read_coordinator().error().code, ENOENT);
  ASSERT_TRUE(directory->write_coordinator({"127.0.0.1", 4711, 12, "key"}));
  EXPECT_EQ(directory->read_coordinator()->port, 4711);
  ASSERT_EQ(::chmod(directory->file("coordinator.json").c_str(), 0644), 0);
  EXPECT_EQ(directory->read_coordinator().error().code, EPERM);
  ASSERT_EQ(::chmod(directory->file("coordinator.json").c_str(), 0600), 0);
  std::filesystem::rename(directory->file("coordinator.json"), directory->file("elsewhere"));
  std::filesystem::create_symlink("elsewhere", directory->file("coordinator.json"));
  EXPECT_EQ(directory->read_coordinator().error().code, EPERM);
  directory->remove_coordinator(12);  // on a node that has no name
  EXPECT_EQ(directory->read_coordinator().error().code, EPERM);
  EXPECT_FALSE(directory->read_coordinator());
}

TEST_F(JobDirectoryTest, ALockIsHeldOnce) {
  const auto directory = JobDirectory::create(files, base + "/sim");
  {
    const auto first = directory->lock(JobDirectory::LockKind::coordinator);
    ASSERT_TRUE(first);
    EXPECT_EQ(directory->lock(JobDirectory::LockKind::coordinator).error().code, EWOULDBLOCK);
    EXPECT_TRUE(directory->lock(JobDirectory::LockKind::run));
    EXPECT_TRUE(directory->is_locked(JobDirectory::LockKind::coordinator));
    EXPECT_FALSE(directory->is_locked(JobDirectory::LockKind::run));
  }
  EXPECT_FALSE(directory->is_locked(JobDirectory::LockKind::coordinator));
  EXPECT_TRUE(directory->lock(JobDirectory::LockKind::coordinator));
}

TEST(CoordinatorPlaces, LoopbackFirstAtHomeAndLastElsewhere) {
  CoordinatorAddress address{"10.0.0.1", 4000, 7, "k", "n1", {"10.0.0.1", "fd00::1", "127.0.0.1"}};
  using Places = std::vector<std::string>;
  EXPECT_EQ(wire::places_to_try(address, "n1"), (Places{"127.0.0.1", "10.0.0.1", "fd00::1"}));
  EXPECT_EQ(wire::places_to_try(address, "n2"), (Places{"10.0.0.1", "fd00::1", "127.0.0.1"}));
  EXPECT_FALSE(wire::is_local_only(address));
  const auto again = wire::parse_coordinator_file(wire::coordinator_file_text(address));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->node, "n1");
  EXPECT_EQ(again->addresses, address.addresses);
  // Written by an older coordinator: one host.
  CoordinatorAddress old{"127.0.0.1", 4000, 7, "k"};
  EXPECT_EQ(wire::places_to_try(old, "n1"), Places{"127.0.0.1"});
  EXPECT_TRUE(wire::is_local_only(old));
}

}  // namespace
}  // namespace ckpt::coordinator
