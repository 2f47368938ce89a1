// Each record kind on its own: what it refuses, and its edge cases. (The whole
// round trip of every field is in generation_test.cpp.)
#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/file_driver.hpp"
#include "format/image/hdf5/table.hpp"
#include "format/image/records/descriptors.hpp"
#include "format/image/records/identity.hpp"
#include "format/image/records/job.hpp"
#include "format/image/records/limits.hpp"
#include "format/image/records/regions.hpp"
#include "format/image/records/signals.hpp"
#include "format/image/records/threads.hpp"
#include "format/image/records/timers.hpp"
#include "format/image/schema.hpp"
#include "tests/fakes/fake_file_system.hpp"
#include "tests/unit/format_image/sample_generation.hpp"

namespace ckpt::image {
namespace {

// An HDF5 file in memory, with its root as the group of the record.
class Record : public ::testing::Test {
 protected:
  void SetUp() override {
    auto access = hdf5::access_list(opened_);
    ASSERT_TRUE(access);
    file_ = H5Fcreate("/file.h5", H5F_ACC_EXCL, H5P_DEFAULT, access->get());
    ASSERT_GE(file_, 0);
  }
  void TearDown() override {
    if (file_ >= 0) H5Fclose(file_);
  }
  void remove(const char* dataset) { ASSERT_GE(H5Ldelete(file_, dataset, H5P_DEFAULT), 0); }

  const hdf5::Session session_;
  fakes::FakeFileSystem files_;
  hdf5::OpenedFile opened_{files_};
  hid_t file_ = -1;
  const RankImage sample_ = sample::rank(3, 10);
};

template <typename T>
std::string message_of(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

TEST_F(Record, Job) {
  ASSERT_TRUE(records::write_job(file_, sample::job()));
  const auto read = records::read_job(file_);
  ASSERT_TRUE(read) << message_of(read);
  sample::expect_same(sample::job(), *read);
}

TEST_F(Record, JobRefusesNul) {
  auto job = sample::job();
  job.command[1] = std::string("a\0b", 3);
  const auto written = records::write_job(file_, job);
  EXPECT_NE(message_of(written).find("/job/command: a NUL"), std::string::npos)
      << message_of(written);
}

TEST_F(Record, Identity) {
  ASSERT_TRUE(records::write_identity(file_, sample_));
  RankImage image;
  ASSERT_TRUE(records::read_identity(file_, image));
  EXPECT_EQ(image.host, sample_.host);
  EXPECT_EQ(image.process.umask, sample_.process.umask);
  EXPECT_EQ(image.process.layout.auxv, sample_.process.layout.auxv);
  remove(schema::dataset::layout);
  const auto two_rows = hdf5::write_numbers(file_, schema::dataset::layout, {1, 2});
  ASSERT_TRUE(two_rows);
  EXPECT_NE(message_of(records::read_identity(file_, image)).find("not a table"),
            std::string::npos);
}

TEST_F(Record, RegionsShareFiles) {
  ASSERT_TRUE(records::write_regions(file_, sample_.process.regions));
  const hid_t files = H5Dopen2(file_, schema::dataset::files, H5P_DEFAULT);
  const hid_t space = H5Dget_space(files);
  EXPECT_EQ(H5Sget_simple_extent_npoints(space), 3) << "app, shm, memfd";
  H5Sclose(space);
  H5Dclose(files);
  const auto read = records::read_regions(file_);
  ASSERT_TRUE(read) << message_of(read);
  EXPECT_EQ(read->size(), sample_.process.regions.size());
  EXPECT_TRUE(records::check_regions(*read, 10, "rank"));
}

TEST_F(Record, RegionsThatCannotBe) {
  const auto check = [&](auto change, const char* cause) {
    auto regions = sample_.process.regions;
    change(regions);
    const auto checked = records::check_regions(regions, 10, "rank 3");
    ASSERT_FALSE(checked) << cause;
    EXPECT_NE(checked.error().message().find(cause), std::string::npos) << message_of(checked);
    EXPECT_NE(checked.error().message().find("rank 3"), std::string::npos);
  };
  using Regions = std::vector<Region>;
  check([](Regions& r) { r[0].start += 1; }, "whole pages");
  check([](Regions& r) { r[0].end = r[0].start; }, "whole pages");
  check([](Regions& r) { std::swap(r[0], r[1]); }, "overlaps");
  check([](Regions& r) { r[1].runs[0].address = r[1].end; }, "outside");
  check([](Regions& r) { r[1].runs[0].pages = 0; }, "outside");
  check([](Regions& r) { r[1].runs[0].pages = UINT64_MAX; }, "outside");
  check([](Regions& r) { std::swap(r[2].runs[0], r[2].runs[1]); }, "out of order");
  check([](Regions& r) { r[2].runs[0].index = 10; }, "does not hold");
  check([](Regions& r) { r[2].runs[0].index = UINT64_MAX; }, "does not hold");
}

TEST_F(Record, Threads) {
  ASSERT_TRUE(records::write_threads(file_, sample_.process.threads));
  const auto read = records::read_threads(file_);
  ASSERT_TRUE(read) << message_of(read);
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ((*read)[1].xsave, sample_.process.threads[1].xsave);
  remove(schema::dataset::xsave);
  EXPECT_NE(message_of(records::read_threads(file_)).find("/xsave"), std::string::npos);
}

TEST_F(Record, SignalsGoToTheirQueues) {
  Process process = sample_.process;
  ASSERT_TRUE(records::write_signals(file_, process));
  Process read;
  read.threads.resize(3);
  ASSERT_TRUE(records::read_signals(file_, read));
  EXPECT_EQ(read.pending_signals, process.pending_signals);
  EXPECT_EQ(read.threads[0].pending_signals, process.threads[0].pending_signals);
  EXPECT_EQ(read.threads[1].pending_signals, process.threads[1].pending_signals);
  EXPECT_TRUE(read.threads[2].pending_signals.empty());
  Process fewer;
  fewer.threads.resize(1);
  EXPECT_NE(message_of(records::read_signals(file_, fewer)).find("thread 1 is not in the table"),
            std::string::npos);
}

TEST_F(Record, Timers) {
  ASSERT_TRUE(records::write_timers(file_, sample_.process));
  Process read;
  ASSERT_TRUE(records::read_timers(file_, read));
  EXPECT_EQ(read.interval_timers[2].value_us, sample_.process.interval_timers[2].value_us);
  ASSERT_EQ(read.posix_timers.size(), 2u);
  EXPECT_EQ(read.posix_timers[1].clock, -6);
}

TEST_F(Record, LimitsAndDescriptors) {
  ASSERT_TRUE(records::write_limits(file_, sample_.process.limits));
  ASSERT_TRUE(records::write_descriptors(file_, sample_.process.descriptors));
  const auto limits = records::read_limits(file_);
  const auto descriptors = records::read_descriptors(file_);
  ASSERT_TRUE(limits && descriptors);
  EXPECT_EQ(limits->at(7).hard, UINT64_MAX);
  EXPECT_EQ(descriptors->at(3).same_as, 3);
}

TEST_F(Record, AnUnknownKindIsNotGuessed) {
  auto descriptors = sample_.process.descriptors;
  descriptors[0].kind = static_cast<DescriptorKind>(77);
  ASSERT_TRUE(records::write_descriptors(file_, descriptors));
  EXPECT_NE(message_of(records::read_descriptors(file_)).find("out of range in kind"),
            std::string::npos);
}

TEST_F(Record, ColumnsAreFoundByName) {
  struct Row {
    std::uint64_t a = 1;
    std::uint32_t b = 2;
    std::string c = "three";
  };
  const auto newer = [](auto& visit, auto& row) {
    visit("added", row.b);
    visit("c", row.c);
    visit("a", row.a);
  };
  const auto older = [](auto& visit, auto& row) {
    visit("a", row.a);
    visit("c", row.c);
  };
  const auto retyped = [](auto& visit, auto& row) { visit("a", row.b); };
  ASSERT_TRUE(hdf5::write_table(file_, "t", std::vector<Row>{{5, 6, "seven"}}, newer));
  const auto read = hdf5::read_table<Row>(file_, "t", older);
  ASSERT_TRUE(read) << message_of(read);
  EXPECT_EQ(read->at(0).a, 5u);
  EXPECT_EQ(read->at(0).c, "seven");
  EXPECT_NE(
      message_of(hdf5::read_table<Row>(file_, "t", retyped)).find("column a has another type"),
      std::string::npos);
  ASSERT_TRUE(hdf5::write_table(file_, "old", std::vector<Row>{{5, 6, "seven"}}, older));
  EXPECT_NE(message_of(hdf5::read_table<Row>(file_, "old", newer)).find("no column added"),
            std::string::npos);
}

TEST_F(Record, PayloadIsNeverWrittenByHdf5) {
  opened_.payload.emplace_back(0, std::uint64_t{1} << 30);
  ASSERT_TRUE(hdf5::write_numbers(file_, "n", {1, 2, 3}));
  H5Fclose(file_);
  file_ = -1;
  ASSERT_TRUE(opened_.error);
  EXPECT_NE(opened_.error->message().find("would overwrite payload"), std::string::npos);
}

}  // namespace
}  // namespace ckpt::image
