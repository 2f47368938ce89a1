#include "agent/restore/descriptor_plan.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace ckpt::restore {
namespace {

using image::Descriptor;
using image::DescriptorKind;

class DescriptorPlan : public testing::Test {
 protected:
  static inline std::uint64_t next_place = CKPT_RESTORER_ZONE_START + (30ull << 30);

  void SetUp() override {
    char name[] = "/tmp/ckpt-descriptors-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    std::ofstream(path()) << "0123456789";
    next_place += 1 << 20;
  }
  void TearDown() override {
    for (int fd : files.numbers()) ::close(fd);
    ::unlink(path().c_str());
    ::rmdir(directory.c_str());
  }
  std::string path() const { return directory + "/file"; }
  Descriptor regular(int fd, std::uint32_t flags, std::uint64_t size) const {
    Descriptor one;
    one.fd = fd;
    one.path = path();
    one.flags = flags;
    one.size = size;
    one.offset = 3;
    return one;
  }

  std::string directory;
  ArenaMemory memory{next_place, next_place + (1 << 20)};
  ParkedFiles files{500};
  image::Process process;
  ckpt_restore_plan plan{};
};

TEST_F(DescriptorPlan, parks_above_the_highest_number) {
  process.descriptors = {regular(7, O_RDONLY, 10), regular(300, O_RDONLY, 10)};
  EXPECT_EQ(first_parking_number(process), 301);
  process.descriptors.pop_back();
  EXPECT_EQ(first_parking_number(process), 64);
  ASSERT_TRUE(plan_descriptors(process, memory, files, plan));
  ASSERT_EQ(plan.descriptor_count, 1u);
  EXPECT_GE(plan.descriptors[0].source, 500);
}

TEST_F(DescriptorPlan, cuts_only_what_was_open_for_writing) {
  process.descriptors = {regular(3, O_RDONLY, 4), regular(4, O_WRONLY | O_APPEND | O_CLOEXEC, 4)};
  ASSERT_TRUE(plan_descriptors(process, memory, files, plan));
  EXPECT_EQ(plan.descriptors[0].truncate, 0u);
  EXPECT_EQ(plan.descriptors[0].offset, 3);
  EXPECT_EQ(plan.descriptors[1].truncate, 1u);
  EXPECT_EQ(plan.descriptors[1].size, 4u);
  EXPECT_EQ(plan.descriptors[1].close_on_exec, 1u);
  EXPECT_NE(::fcntl(plan.descriptors[1].source, F_GETFL) & O_APPEND, 0);
}

TEST_F(DescriptorPlan, duplicates_come_after_what_they_share) {
  Descriptor copy = regular(3, O_RDWR, 10);
  copy.same_as = 5;
  process.descriptors = {copy, regular(5, O_RDWR, 10)};
  ASSERT_TRUE(plan_descriptors(process, memory, files, plan));
  ASSERT_EQ(plan.descriptor_count, 2u);
  EXPECT_EQ(plan.descriptors[0].number, 5);
  EXPECT_EQ(plan.descriptors[1].number, 3);
  EXPECT_EQ(plan.descriptors[1].source, 5);
  EXPECT_EQ(plan.descriptors[1].offset, -1);
}

TEST_F(DescriptorPlan, standard_ones_stay_and_closed_ones_are_closed) {
  Descriptor out;
  out.fd = 1;
  out.kind = DescriptorKind::standard;
  process.descriptors = {out};
  ASSERT_TRUE(plan_descriptors(process, memory, files, plan));
  EXPECT_EQ(plan.descriptor_count, 0u);
  EXPECT_EQ(plan.standard_closed, 5u);
}

TEST_F(DescriptorPlan, names_a_file_that_is_gone_or_shorter) {
  process.descriptors = {regular(3, O_RDWR, 100)};
  auto shorter = plan_descriptors(process, memory, files, plan);
  ASSERT_FALSE(shorter);
  EXPECT_NE(shorter.error().message().find("10 bytes, at the checkpoint it had 100"),
            std::string::npos)
      << shorter.error().message();
  process.descriptors[0].path += ".gone";
  auto gone = plan_descriptors(process, memory, files, plan);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ENOENT);
  EXPECT_NE(gone.error().message().find("fd 3"), std::string::npos);
}

}  // namespace
}  // namespace ckpt::restore
