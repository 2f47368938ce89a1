// Files that another node has made and this one sees late.
#include "format/posix/patient_file_system.hpp"

#include <gtest/gtest.h>

#include "format/posix/durable_file.hpp"
#include "tests/fakes/delayed_file_system.hpp"
#include "tests/fakes/fake_file_system.hpp"

namespace ckpt {
namespace {

using fakes::DelayedFileSystem;
using fakes::FakeFileSystem;
using std::chrono::milliseconds;

struct PatientFileSystemTest : testing::Test {
  FakeFileSystem shared;
  milliseconds waited{0};
  PatientFileSystem::Pause clock = [this](milliseconds time) { waited += time; };

  void SetUp() override {
    ASSERT_TRUE(make_directories(shared, "/job"));
    ASSERT_TRUE(write_durably(shared, "/job/coordinator.json", "{}"));
  }
};

TEST_F(PatientFileSystemTest, WaitsForANameThatComes) {
  DelayedFileSystem late(shared, 20);
  EXPECT_EQ(late.open("/job/coordinator.json", O_RDONLY).error().code, ENOENT);
  PatientFileSystem patient(late, PatientFileSystem::kSharedStorage, clock);
  EXPECT_EQ(read_whole(patient, "/job/coordinator.json").value(), "{}");
  EXPECT_GT(waited.count(), 0);
  EXPECT_LT(waited, milliseconds(10'000));
  const auto before = waited;
  EXPECT_EQ(patient.stat("/job/coordinator.json")->size, 2u);
  EXPECT_EQ(waited, before) << "what is seen is not waited for";
}

TEST_F(PatientFileSystemTest, AFileThatIsNotThereIsReportedInTime) {
  PatientFileSystem patient(shared, milliseconds(2'000), clock);
  const auto file = patient.open("/job/gen-000001.h5", O_RDONLY);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ENOENT);
  EXPECT_EQ(waited, milliseconds(2'000));
  EXPECT_NE(file.error().message().find("waited 2.0 s"), std::string::npos)
      << file.error().message();
  // The patience is for all files together.
  EXPECT_EQ(patient.open("/job/gen-000002.h5", O_RDONLY).error().code, ENOENT);
  EXPECT_EQ(waited, milliseconds(2'000));
}

TEST_F(PatientFileSystemTest, OtherErrorsAndNewFilesAreNotWaitedFor) {
  PatientFileSystem patient(shared, milliseconds(2'000), clock);
  EXPECT_TRUE(patient.open("/job/new", O_RDWR | O_CREAT | O_EXCL));
  EXPECT_EQ(patient.open("/job/new", O_RDWR | O_CREAT | O_EXCL).error().code, EEXIST);
  EXPECT_TRUE(patient.stat("/job")->directory);
  EXPECT_EQ(waited.count(), 0);
}

}  // namespace
}  // namespace ckpt
