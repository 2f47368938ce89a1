// Damaged, cut and foreign files: reported with their cause, never a crash,
// never wrong data.
#include <hdf5.h>

#include <cstdlib>

#include "format/image/generation_directory.hpp"
#include "format/image/schema.hpp"
#include "format/posix/try.hpp"
#include "tests/unit/format_image/sample_generation.hpp"

// HDF5 1.10.8 itself leaks when it meets damaged headers: not our leaks.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace ckpt::image {
namespace {

using sample::TemporaryDirectory;

// Every `stride`-th of the bytes that matter; all of them with CKPT_TEST_ALL=1.
std::size_t stride(std::size_t usual) {
  const char* all = std::getenv("CKPT_TEST_ALL");
  return all != nullptr && *all == '1' ? 1 : usual;
}

// All that a reader gives out, as one Status; equal to what was written or an error.
Status read_everything(const std::string& path, const JobRecord& job, std::uint64_t pages,
                       bool& same) {
  auto reader = CKPT_TRY(GenerationReader::open(path));
  CKPT_TRY(reader.verify(VerifyDepth::payload));
  sample::expect_same(job, reader.job());
  for (const auto number : reader.ranks()) {
    const auto image = CKPT_TRY(reader.rank(number));
    sample::expect_same(sample::rank(number, pages), image);
    const auto checksums = CKPT_TRY(reader.payload_checksums(number));
    const auto file = CKPT_TRY(linux_file_system().open(image.payload_file, O_RDONLY));
    std::vector<std::uint8_t> payload(pages * kPageSize);
    CKPT_TRY(read_payload(*file, image, checksums, 0, pages, payload.data()));
    same = same && payload == sample::payload(number, pages);
  }
  return {};
}

class Damage : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = directory_ / "gen-000012.h5";
    const auto written = sample::write(linux_file_system(), path_, job_, kPages);
    ASSERT_TRUE(written) << written.error().message();
    bytes_ = sample::read_bytes(path_);
  }

  static constexpr std::uint64_t kPages = 2;
  const TemporaryDirectory directory_;
  const JobRecord job_ = sample::job(1);
  std::string path_;
  std::vector<std::uint8_t> bytes_;
};

TEST_F(Damage, AFlippedByteIsReportedOrHarmless) {
  const auto file = linux_file_system().open(path_, O_RDWR);
  ASSERT_TRUE(file);
  std::size_t nonzero = 0, reported = 0, tried = 0;
  const std::size_t step = stride(29);
  for (std::size_t at = 0; at < bytes_.size(); ++at) {
    // Zeros are nearly all padding: a few of them will do.
    const bool zero = bytes_[at] == 0;
    if (zero ? at % (step * 7) != 0 : nonzero++ % step != 0) continue;
    for (const std::uint8_t mask : {0x01, 0x80, 0xff}) {
      const auto damaged = static_cast<std::uint8_t>(bytes_[at] ^ mask);
      ASSERT_TRUE((*file)->pwrite(&damaged, 1, at));
      bool same = true;
      const auto read = read_everything(path_, job_, kPages, same);
      ++tried;
      if (!read) {
        ++reported;
        EXPECT_FALSE(read.error().cause.empty());
        EXPECT_NE(read.error().message().find("gen-000012.h5"), std::string::npos)
            << read.error().message();
      }
      EXPECT_TRUE(same) << "wrong payload without an error";
      ASSERT_FALSE(HasFailure()) << "byte " << at << " mask " << int{mask};
    }
    ASSERT_TRUE((*file)->pwrite(&bytes_[at], 1, at));
  }
  EXPECT_GT(reported, tried / 2);
  bool same = true;
  EXPECT_TRUE(read_everything(path_, job_, kPages, same)) << "the file is whole again";
}

TEST_F(Damage, PayloadDamageNamesRankDatasetAndBlock) {
  constexpr std::uint64_t kManyPages = 3 * kChecksumBlockPages;
  const std::string path = directory_ / "gen-000003.h5";
  ASSERT_TRUE(sample::write(linux_file_system(), path, sample::job(2, 3), kManyPages));
  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader);
  const auto image = reader->rank(1);
  ASSERT_TRUE(image);
  const auto file = linux_file_system().open(path, O_RDWR);
  ASSERT_TRUE(file);
  const std::uint8_t byte = 0;
  const auto at = image->payload_offset + 2 * kChecksumBlockBytes + 12345;
  std::uint8_t old = 0;
  ASSERT_TRUE((*file)->pread(&old, 1, at));
  ASSERT_TRUE((*file)->pwrite(old == byte ? "\1" : "", 1, at));
  EXPECT_TRUE(reader->verify(VerifyDepth::metadata));
  const auto verified = reader->verify(VerifyDepth::payload);
  ASSERT_FALSE(verified);
  const auto message = verified.error().message();
  EXPECT_NE(message.find("rank 1 /ranks/000001/pages block 2 (pages 512-767): checksum mismatch"),
            std::string::npos)
      << message;
}

TEST_F(Damage, TruncatedAtAnyLength) {
  const std::string path = directory_ / "gen-000012-cut.h5";
  std::vector<std::size_t> lengths = {0,
                                      1,
                                      7,
                                      8,
                                      9,
                                      47,
                                      48,
                                      95,
                                      96,
                                      97,
                                      511,
                                      512,
                                      4095,
                                      4096,
                                      bytes_.size() - 1,
                                      bytes_.size() - 4096};
  for (std::size_t length = 128; length < bytes_.size(); length += 16 * stride(61)) {
    lengths.push_back(length);
  }
  for (const std::size_t length : lengths) {
    SCOPED_TRACE(length);
    sample::write_bytes(path,
                        {bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(length)});
    const auto reader = GenerationReader::open(path);
    ASSERT_FALSE(reader);
    const auto message = reader.error().message();
    const char* expected = length == 0 ? "empty" : "truncated";
    // Shorter than a superblock, HDF5 finds its own words.
    if (length == 0 || length < 8 || length >= 48) {
      EXPECT_NE(message.find(expected), std::string::npos) << message;
    }
  }
}

TEST(Foreign, EachHasItsOwnMessage) {
  const TemporaryDirectory directory;
  const auto cause_of = [](const std::string& path) -> std::string {
    const auto reader = GenerationReader::open(path);
    if (reader) return "it opened";
    EXPECT_NE(reader.error().message().find(path), std::string::npos);
    return reader.error().message();
  };
  const auto missing = GenerationReader::open(directory / "none.h5");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_NE(cause_of(directory / "none.h5").find("No such file"), std::string::npos);
  EXPECT_NE(cause_of(directory.path()).find("not a regular file"), std::string::npos);

  const std::string text = "This is a text and no image at all.\n";
  sample::write_bytes(directory / "text", {text.begin(), text.end()});
  EXPECT_NE(cause_of(directory / "text").find("not an HDF5 file"), std::string::npos);

  const std::string foreign = directory / "foreign.h5";
  const hid_t file = H5Fcreate(foreign.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t extent = 100;
  const hid_t space = H5Screate_simple(1, &extent, nullptr);
  const hid_t data =
      H5Dcreate2(file, "data", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dclose(data);
  H5Sclose(space);
  H5Fclose(file);
  EXPECT_NE(cause_of(foreign).find("not of ckpt-coord"), std::string::npos);
}

// Changes a root attribute with the plain library, as a stranger would.
template <typename T>
void set_root_attribute(const std::string& path, const char* name, hid_t type, T value) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  ASSERT_GE(H5Awrite(attribute, type, &value), 0);
  H5Aclose(attribute);
  H5Fclose(file);
}

TEST_F(Damage, OtherVersionAndUnfinished) {
  set_root_attribute<std::uint32_t>(path_, schema::attribute::root::schema_version,
                                    H5T_NATIVE_UINT32, 7);
  auto reader = GenerationReader::open(path_);
  ASSERT_FALSE(reader);
  EXPECT_NE(reader.error().message().find("schema version is 7, this program reads version 1"),
            std::string::npos);
  set_root_attribute<std::uint32_t>(path_, schema::attribute::root::schema_version,
                                    H5T_NATIVE_UINT32, 1);
  EXPECT_TRUE(GenerationReader::open(path_));
  set_root_attribute<std::uint8_t>(path_, schema::attribute::root::complete, H5T_NATIVE_UINT8, 0);
  reader = GenerationReader::open(path_);
  ASSERT_FALSE(reader);
  EXPECT_NE(reader.error().message().find("unfinished"), std::string::npos);
}

TEST_F(Damage, AGroupOrTableThatIsMissing) {
  for (const auto& name : schema::kDatasets) {
    if (name.owner != "rank") continue;
    SCOPED_TRACE(name.name);
    sample::write_bytes(path_, bytes_);
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    ASSERT_GE(H5Ldelete(file, ("/ranks/000000/" + std::string(name.name)).c_str(), H5P_DEFAULT), 0);
    H5Fclose(file);
    auto reader = GenerationReader::open(path_);
    ASSERT_TRUE(reader);
    const auto verified = reader->verify(VerifyDepth::metadata);
    ASSERT_FALSE(verified);
    EXPECT_NE(verified.error().message().find(name.name), std::string::npos)
        << verified.error().message();
  }
}

}  // namespace
}  // namespace ckpt::image
