// Writing and reading whole generations.
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "format/image/generation_directory.hpp"
#include "tests/fakes/delayed_file_system.hpp"
#include "tests/unit/format_image/sample_generation.hpp"

namespace ckpt::image {
namespace {

using sample::TemporaryDirectory;

TEST(Generation, RoundTripOfEveryField) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000012.h5";
  const auto job = sample::job(3);
  const auto written = sample::write(linux_file_system(), path, job, 700);
  ASSERT_TRUE(written) << written.error().message();

  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader) << reader.error().message();
  sample::expect_same(job, reader->job());
  EXPECT_EQ(reader->ranks(), (std::vector<std::int32_t>{0, 1, 2}));
  const auto bytes = sample::read_bytes(path);
  for (const auto number : reader->ranks()) {
    SCOPED_TRACE(number);
    const auto image = reader->rank(number);
    ASSERT_TRUE(image) << image.error().message();
    sample::expect_same(sample::rank(number, 700), *image);
    EXPECT_EQ(image->payload_file, path);
    EXPECT_EQ(image->payload_offset % kPageSize, 0u);
    const auto payload = sample::payload(number, 700);
    ASSERT_LE(image->payload_offset + payload.size(), bytes.size());
    EXPECT_TRUE(std::equal(payload.begin(), payload.end(),
                           bytes.begin() + static_cast<std::ptrdiff_t>(image->payload_offset)));
  }
  std::uint64_t seen = 0;
  const auto good = reader->verify(VerifyDepth::payload, [&](std::uint64_t done) { seen = done; });
  EXPECT_TRUE(good) << good.error().message();
  EXPECT_EQ(seen, 3 * 700 * kPageSize);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(Generation, EmptyRecords) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  JobRecord job;
  job.world_size = 1;
  job.generation = 1;
  RankImage image;
  image.rank = 0;
  auto writer = GenerationWriter::create(linux_file_system(), path, job);
  ASSERT_TRUE(writer) << writer.error().message();
  const auto wrote = writer->write_rank(image, {});  // nothing was reserved
  ASSERT_TRUE(wrote) << wrote.error().message();
  ASSERT_TRUE(writer->finish());
  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader) << reader.error().message();
  sample::expect_same(job, reader->job());
  const auto read = reader->rank(0);
  ASSERT_TRUE(read) << read.error().message();
  sample::expect_same(image, *read);
  EXPECT_TRUE(reader->verify(VerifyDepth::payload));
}

TEST(Generation, ReservingWritesNothing) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5.partial";
  const auto start = std::chrono::steady_clock::now();
  auto writer = GenerationWriter::create(linux_file_system(), path, sample::job());
  ASSERT_TRUE(writer);
  const auto offset = writer->reserve_payload(0, (1u << 30) / kPageSize);
  ASSERT_TRUE(offset) << offset.error().message();
  EXPECT_EQ(*offset % kPageSize, 0u);
  std::vector<std::uint64_t> checksums((1u << 30) / kChecksumBlockBytes);
  auto image = sample::rank(0, 2);
  image.payload_pages = (1u << 30) / kPageSize;
  ASSERT_TRUE(writer->write_rank(image, checksums));
  ASSERT_TRUE(writer->finish());
  const auto took = std::chrono::steady_clock::now() - start;
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_GE(status.st_size, 1 << 30);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  EXPECT_LT(took, std::chrono::seconds(5));
}

TEST(Generation, ThousandsOfRegionsAreAFewTables) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  auto image = sample::rank(0, 0);
  image.process.regions.clear();
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    Region region;
    region.start = 0x10000000 + i * 8 * kPageSize;
    region.end = region.start + 2 * kPageSize;
    region.path = "/usr/lib/lib" + std::to_string(i % 100) + ".so";
    region.vm_flags = "rd wr mr mw me ac";
    image.process.regions.push_back(region);
  }
  auto writer = GenerationWriter::create(linux_file_system(), path, sample::job());
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->write_rank(image, {}));
  ASSERT_TRUE(writer->finish());
  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader);
  const auto read = reader->rank(0);
  ASSERT_TRUE(read) << read.error().message();
  sample::expect_same(image, *read);
  EXPECT_LT(sample::read_bytes(path).size(), 3u << 20);
}

TEST(Generation, RanksWriteTheirPayloadInParallel) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  constexpr int kRanks = 8;
  auto writer = GenerationWriter::create(linux_file_system(), path, sample::job(kRanks, 1));
  ASSERT_TRUE(writer);
  std::vector<Status> outcomes(kRanks);
  std::vector<std::thread> threads;
  for (int number = 0; number < kRanks; ++number) {
    threads.emplace_back([&, number] {
      outcomes[static_cast<std::size_t>(number)] =
          sample::write_rank(*writer, number, 300 + static_cast<std::uint64_t>(number));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome) << outcome.error().message();
  ASSERT_TRUE(writer->finish());
  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader) << reader.error().message();
  const auto good = reader->verify(VerifyDepth::payload);
  EXPECT_TRUE(good) << good.error().message();
}

TEST(Generation, LargeListsOfStringsAreNotPadded) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  auto job = sample::job();
  job.command.assign(20'000, "short");
  job.command.push_back(std::string(128 << 10, 'y'));
  ASSERT_TRUE(sample::write(linux_file_system(), path, job, 0));
  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader) << reader.error().message();
  sample::expect_same(job, reader->job());
  EXPECT_LT(sample::read_bytes(path).size(), 1u << 20);
}

TEST(Generation, ReadPayloadInPiecesAndAcrossBlocks) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  constexpr std::uint64_t kPages = 2 * kChecksumBlockPages + 10;
  ASSERT_TRUE(sample::write(linux_file_system(), path, sample::job(), kPages));
  auto reader = GenerationReader::open(path);
  ASSERT_TRUE(reader);
  const auto image = reader->rank(0);
  const auto checksums = reader->payload_checksums(0);
  const auto file = linux_file_system().open(path, O_RDONLY);
  ASSERT_TRUE(image && checksums && file);
  const auto expected = sample::payload(0, kPages);
  for (const auto& [first, pages] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0, kPages}, {0, 1}, {255, 2}, {255, 258}, {kPages - 1, 1}, {3, 0}, {256, 256}}) {
    std::vector<std::uint8_t> buffer(pages * kPageSize);
    const auto read = read_payload(**file, *image, *checksums, first, pages, buffer.data());
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_TRUE(std::equal(buffer.begin(), buffer.end(),
                           expected.begin() + static_cast<std::ptrdiff_t>(first * kPageSize)));
  }
  std::vector<std::uint8_t> buffer(kPageSize);
  EXPECT_FALSE(read_payload(**file, *image, *checksums, kPages, 1, buffer.data()));
}

TEST(GenerationWriter, RefusesWhatDoesNotFit) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5.partial";
  {
    auto writer = GenerationWriter::create(linux_file_system(), path, sample::job(2));
    ASSERT_TRUE(writer);
    EXPECT_FALSE(writer->reserve_payload(2, 1));
  }
  {
    auto writer = GenerationWriter::create(linux_file_system(), path, sample::job(2));
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->reserve_payload(0, 4));
    const auto wrong = writer->write_rank(sample::rank(0, 3), {0});
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message().find("4 pages were reserved"), std::string::npos);
  }
  {
    auto writer = GenerationWriter::create(linux_file_system(), path, sample::job(2));
    ASSERT_TRUE(writer);
    ASSERT_TRUE(sample::write_rank(*writer, 0, 1));
    const auto finished = writer->finish();
    ASSERT_FALSE(finished);
    EXPECT_NE(finished.error().message().find("1 of 2 ranks"), std::string::npos);
  }
  {
    auto writer = GenerationWriter::create(linux_file_system(), path, sample::job());
    ASSERT_TRUE(writer);
    auto image = sample::rank(0, 0);
    image.process.threads[0].registers.resize(10);
    const auto wrong = writer->write_rank(image, {});
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message().find("10 bytes of registers"), std::string::npos);
    EXPECT_FALSE(writer->finish()) << "an error must not be forgotten";
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "unfinished writers discard";
  // More than the disk holds: known before a byte is written.
  auto writer = GenerationWriter::create(linux_file_system(), path, sample::job());
  ASSERT_TRUE(writer);
  const auto huge = writer->reserve_payload(0, std::uint64_t{1} << 48);
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().code, ENOSPC);
}

TEST(GenerationWriter, DoesNotTouchAFileThatIsThere) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5.partial";
  sample::write_bytes(path, {1, 2, 3});
  const auto writer = GenerationWriter::create(linux_file_system(), path, sample::job());
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, EEXIST);
  EXPECT_NE(writer.error().message().find("File exists"), std::string::npos);
  EXPECT_EQ(sample::read_bytes(path).size(), 3u);
}

TEST(Generation, CommitNeverReplaces) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  ASSERT_TRUE(sample::write(linux_file_system(), partial_path(path), sample::job(1, 1), 1));
  ASSERT_TRUE(commit_generation(linux_file_system(), partial_path(path), path));
  const auto first = sample::read_bytes(path);
  ASSERT_TRUE(sample::write(linux_file_system(), partial_path(path), sample::job(1, 1), 5));
  const auto again = commit_generation(linux_file_system(), partial_path(path), path);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_EQ(sample::read_bytes(path), first);
}

// The agent of another node has made it; this one's caches do not know yet.
TEST(Generation, CommitWaitsForAFileThatIsSeenLate) {
  const TemporaryDirectory directory;
  const std::string path = directory / "gen-000001.h5";
  ASSERT_TRUE(sample::write(linux_file_system(), partial_path(path), sample::job(1, 1), 1));
  fakes::DelayedFileSystem late(linux_file_system(), 4);
  const auto committed = commit_generation(late, partial_path(path), path);
  ASSERT_TRUE(committed) << committed.error().message();
  EXPECT_TRUE(GenerationReader::open(path));
}

TEST(Generation, NodesAreLinked) {
  const TemporaryDirectory directory;
  const auto job = sample::job(4, 7);
  std::vector<NodeFile> nodes;
  for (int node = 0; node < 2; ++node) {
    const std::string path = directory / node_file_name(7, "n" + std::to_string(node));
    auto writer = GenerationWriter::create(linux_file_system(), partial_path(path), job,
                                           GenerationPart::node);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(sample::write_rank(*writer, node, 5));
    ASSERT_TRUE(sample::write_rank(*writer, node + 2, 6));
    ASSERT_TRUE(writer->finish());
    ASSERT_TRUE(commit_generation(linux_file_system(), partial_path(path), path));
    nodes.push_back({path, {node, node + 2}});
  }
  const std::string path = directory / generation_file_name(7);
  auto missing = nodes;
  missing[1].ranks = {1};
  EXPECT_FALSE(link_generation(linux_file_system(), partial_path(path), job, missing));
  auto wrong = nodes;
  std::swap(wrong[0].ranks, wrong[1].ranks);
  EXPECT_FALSE(link_generation(linux_file_system(), partial_path(path), job, wrong));
  EXPECT_FALSE(std::filesystem::exists(partial_path(path)));
  const auto linked = link_generation(linux_file_system(), partial_path(path), job, nodes);
  ASSERT_TRUE(linked) << linked.error().message();
  ASSERT_TRUE(commit_generation(linux_file_system(), partial_path(path), path));

  // The job directory may move.
  const TemporaryDirectory other;
  std::filesystem::rename(directory.path(), other.path() + "/moved");
  const std::string moved = other.path() + "/moved/" + generation_file_name(7);
  auto reader = GenerationReader::open(moved);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_EQ(reader->ranks().size(), 4u);
  for (int number = 0; number < 4; ++number) {
    const auto image = reader->rank(number);
    ASSERT_TRUE(image) << image.error().message();
    sample::expect_same(sample::rank(number, number < 2 ? 5 : 6), *image);
    EXPECT_EQ(image->payload_file,
              other.path() + "/moved/" + node_file_name(7, "n" + std::to_string(number % 2)));
  }
  EXPECT_TRUE(reader->verify(VerifyDepth::payload));
  std::filesystem::remove(other.path() + "/moved/" + node_file_name(7, "n1"));
  auto again = GenerationReader::open(moved);
  ASSERT_TRUE(again);
  const auto verified = again->verify(VerifyDepth::metadata);
  ASSERT_FALSE(verified);
  EXPECT_NE(verified.error().message().find("n1"), std::string::npos);
  EXPECT_EQ(verified.error().code, ENOENT);
}

}  // namespace
}  // namespace ckpt::image
