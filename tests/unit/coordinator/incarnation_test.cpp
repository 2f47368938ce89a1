// The incarnation: raised, read, and who is of the past.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "coordinator/job_directory/incarnation_file.hpp"

namespace ckpt::coordinator {
namespace {

class IncarnationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/ckpt-incarnation-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    base = path;
    directory.emplace(*JobDirectory::create(files, base + "/job"));
  }
  void TearDown() override { std::filesystem::remove_all(base); }
  void write(const std::string& text) { std::ofstream(directory->file("incarnation")) << text; }

  std::string base;
  FileSystem& files = linux_file_system();
  std::optional<JobDirectory> directory;
};

TEST_F(IncarnationTest, EachStartAndEachCoordinatorRaisesItsOwn) {
  const auto first = raise_incarnation(files, *directory);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_TRUE(first->known());
  const auto coordinator = raise_term(files, *directory);
  ASSERT_TRUE(coordinator);
  EXPECT_EQ(coordinator->number, first->number);
  EXPECT_EQ(coordinator->term, first->term + 1);
  EXPECT_TRUE(still_in_office(*directory, *coordinator));
  const auto second = raise_term(files, *directory);
  ASSERT_TRUE(second);
  const Status old = still_in_office(*directory, *coordinator);
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, kSuperseded);
  EXPECT_TRUE(still_in_office(*directory, *second));
  const auto next = raise_incarnation(files, *directory);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->number, first->number + 1);
  EXPECT_EQ(next->job, first->job);
  EXPECT_FALSE(still_in_office(*directory, *second));
  EXPECT_TRUE(superseded(directory->path(), *first));
  EXPECT_FALSE(superseded(directory->path(), *next));
  // Who is of the past raises nothing any more.
  EXPECT_EQ(raise_incarnation(files, *directory, &*first).error().code, kSuperseded);
  EXPECT_EQ(raise_term(files, *directory, &*first).error().code, kSuperseded);
  EXPECT_TRUE(raise_term(files, *directory, &*next));
  EXPECT_EQ(raise_incarnation(files, *directory, &*next)->number, next->number + 1);
}

TEST_F(IncarnationTest, NobodyIsKilledOnSuspicion) {
  const Incarnation mine{"abc", 3, 0, "", 0};
  EXPECT_FALSE(superseded(directory->path(), mine)) << "no file";
  write("job=abc incarnation=4");
  EXPECT_FALSE(superseded(directory->path(), mine)) << "cut short";
  write("job=xyz incarnation=4 term=1 host=a pid=1\n");
  EXPECT_FALSE(superseded(directory->path(), mine)) << "another job";
  write("job=abc incarnation=3 term=9 host=a pid=1\n");
  EXPECT_FALSE(superseded(directory->path(), mine)) << "the present one";
  write("job=abc incarnation=4 term=9 host=a pid=1\n");
  EXPECT_TRUE(superseded(directory->path(), mine));
  EXPECT_FALSE(superseded(directory->path(), Incarnation{})) << "not known";
}

TEST_F(IncarnationTest, WhatMakesNoSenseIsNotBegunAnew) {
  write("something else\n");
  EXPECT_FALSE(raise_incarnation(files, *directory));
  EXPECT_FALSE(raise_term(files, *directory));
}

TEST_F(IncarnationTest, TextAndBack) {
  const Incarnation one{"4f2a", 3, 5, "node1", 4211};
  const auto back = parse_incarnation(format_incarnation(one));
  ASSERT_TRUE(back);
  EXPECT_EQ(format_incarnation(*back), format_incarnation(one));
  const Incarnation told = incarnation_of_variable(incarnation_variable(one));
  EXPECT_EQ(told.job, "4f2a");
  EXPECT_EQ(told.number, 3u);
  for (const char* bad : {"", ":", "x", "x:", "x:1y"}) {
    EXPECT_FALSE(incarnation_of_variable(bad).known()) << bad;
  }
}

}  // namespace
}  // namespace ckpt::coordinator
