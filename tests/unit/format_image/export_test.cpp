// A generation of several nodes becomes one file of its own.
#include <gtest/gtest.h>

#include <filesystem>

#include "format/image/generation_directory.hpp"
#include "format/image/generation_export.hpp"
#include "format/posix/patient_file_system.hpp"
#include "sample_generation.hpp"
#include "tests/fakes/delayed_file_system.hpp"

namespace ckpt::image {
namespace {

// Generation 7 of four ranks on two nodes; ranks 0, 2 have 300 pages, 1, 3 have 6.
struct Export : testing::Test {
  sample::TemporaryDirectory directory, elsewhere;
  JobRecord job = sample::job(4, 7);
  std::string path = directory / generation_file_name(7);

  static std::uint64_t pages_of(int rank) { return rank % 2 == 0 ? 300 : 6; }
  std::string node_path(int node) const {
    return directory / node_file_name(7, "n" + std::to_string(node));
  }
  void SetUp() override {
    std::vector<NodeFile> nodes;
    for (int node = 0; node < 2; ++node) {
      auto writer = GenerationWriter::create(linux_file_system(), partial_path(node_path(node)),
                                             job, GenerationPart::node);
      ASSERT_TRUE(writer);
      for (const int rank : {node, node + 2})
        ASSERT_TRUE(sample::write_rank(*writer, rank, pages_of(rank)));
      ASSERT_TRUE(writer->finish());
      ASSERT_TRUE(
          commit_generation(linux_file_system(), partial_path(node_path(node)), node_path(node)));
      nodes.push_back({node_path(node), {node, node + 2}});
    }
    ASSERT_TRUE(link_generation(linux_file_system(), partial_path(path), job, nodes));
    ASSERT_TRUE(commit_generation(linux_file_system(), partial_path(path), path));
  }
  Result<std::uint64_t> run(const std::string& to, const ExportProgress& progress = {}) {
    auto reader = GenerationReader::open(path);
    if (!reader) return tl::unexpected(reader.error());
    return export_generation(linux_file_system(), *reader, to, progress);
  }
};

TEST_F(Export, HasEverythingAndNeedsNothingElse) {
  std::uint64_t last = 0, total = 0;
  const auto bytes = run(elsewhere / "alone.h5", [&](std::uint64_t done, std::uint64_t of) {
    EXPECT_GT(done, last);
    last = done;
    total = of;
  });
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, 2 * (300 + 6) * kPageSize);
  EXPECT_EQ(last, *bytes);
  EXPECT_EQ(total, *bytes);
  std::filesystem::remove_all(directory.path());
  auto reader = GenerationReader::open(elsewhere / "alone.h5");
  ASSERT_TRUE(reader) << reader.error().message();
  sample::expect_same(job, reader->job());
  ASSERT_EQ(reader->ranks().size(), 4u);
  for (int rank = 0; rank < 4; ++rank) {
    const auto image = reader->rank(rank);
    ASSERT_TRUE(image) << image.error().message();
    sample::expect_same(sample::rank(rank, pages_of(rank)), *image);
    EXPECT_EQ(image->payload_file, elsewhere / "alone.h5");
  }
  EXPECT_TRUE(reader->verify(VerifyDepth::payload));
}

TEST_F(Export, DamageIsFoundAndNothingIsLeft) {
  auto bytes = sample::read_bytes(node_path(1));
  const auto offset = GenerationReader::open(path)->rank(3)->payload_offset;
  bytes[offset + 5000] ^= 1;
  sample::write_bytes(node_path(1), bytes);
  const auto done = run(elsewhere / "alone.h5");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("block 0"), std::string::npos) << done.error().message();
  EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
}

TEST_F(Export, ReplacesNothing) {
  sample::write_bytes(elsewhere / "mine", {1, 2, 3});
  EXPECT_EQ(run(elsewhere / "mine").error().code, EEXIST);
  EXPECT_EQ(sample::read_bytes(elsewhere / "mine").size(), 3u);
  EXPECT_EQ(run(elsewhere / "no/such/place.h5").error().code, ENOENT);
}

TEST_F(Export, ANodesFileThatIsSeenLateIsWaitedFor) {
  fakes::DelayedFileSystem late(linux_file_system(), 5);
  {
    auto reader = GenerationReader::open(path, linux_file_system());
    ASSERT_TRUE(reader);
  }
  std::chrono::milliseconds waited{0};
  PatientFileSystem patient(late, std::chrono::milliseconds(5000),
                            [&](std::chrono::milliseconds time) { waited += time; });
  EXPECT_FALSE(GenerationReader::open(path, late));
  auto reader = GenerationReader::open(path, patient);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_TRUE(reader->verify(VerifyDepth::payload));
  EXPECT_GT(waited.count(), 0);
  EXPECT_LT(waited.count(), 5000);
}

}  // namespace
}  // namespace ckpt::image
