// Which generations there are, which is good, which go.
#include <fstream>

#include "format/image/generation_directory.hpp"
#include "tests/unit/format_image/sample_generation.hpp"

namespace ckpt::image {
namespace {

using sample::TemporaryDirectory;
using Numbers = std::vector<std::uint64_t>;

class GenerationDirectoryTest : public ::testing::Test {
 protected:
  void make(std::uint64_t number) {
    const auto written = sample::write(linux_file_system(), directory_ / generation_file_name(number),
                                       sample::job(1, number), 3);
    ASSERT_TRUE(written) << written.error().message();
  }
  // Metadata of any kind: the job record lies near the start of the file.
  void damage(std::uint64_t number) {
    const std::string path = directory_ / generation_file_name(number);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  }
  void touch(const std::string& name) { std::ofstream(directory_ / name) << "x"; }
  Numbers numbers() {
    Numbers found;
    const auto entries = generations_.list();
    EXPECT_TRUE(entries);
    for (const auto& entry : *entries) found.push_back(entry.number);
    return found;
  }

  const TemporaryDirectory directory_;
  GenerationDirectory generations_{linux_file_system(), directory_.path()};
};

TEST_F(GenerationDirectoryTest, Names) {
  EXPECT_EQ(generation_file_name(12), "gen-000012.h5");
  EXPECT_EQ(generation_file_name(12345678), "gen-12345678.h5");
  EXPECT_EQ(node_file_name(12, "n1.cluster"), "gen-000012.node-n1.cluster.h5");
  EXPECT_EQ(partial_path("/j/gen-000012.h5"), "/j/gen-000012.h5.partial");
  for (const char* name : {"gen-000012.h5", "gen-000012.h5.partial", "gen-000012.node-n1.c.h5",
                           "gen-000012.node-n1.h5.partial"}) {
    EXPECT_EQ(generation_number_of(name), 12u) << name;
  }
  for (const char* name : {"gen-12.h5", "gen-000012", "gen-000012.h5.bak", "xgen-000012.h5", "gen-.h5",
                           "gen-000012.node-.h5", "gen-000012x.h5", "gen--00012.h5", "job.json",
                           "gen-99999999999999999999999.h5", ""}) {
    EXPECT_FALSE(generation_number_of(name)) << name;
  }
}

TEST_F(GenerationDirectoryTest, EmptyAndMissing) {
  EXPECT_EQ(numbers(), Numbers{});
  EXPECT_EQ(*generations_.next_number(), 1u);
  const auto none = generations_.newest_good(VerifyDepth::payload);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("none was committed"), std::string::npos);
  GenerationDirectory missing(linux_file_system(), directory_ / "none");
  const auto listed = missing.list();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, ENOENT);
}

TEST_F(GenerationDirectoryTest, ListsWithState) {
  make(1);
  make(2);
  make(4);
  damage(2);
  touch("gen-000007.h5.partial");
  touch("job.json");
  std::filesystem::copy_file(directory_ / "gen-000001.h5", directory_ / "gen-000005.h5");
  const auto entries = generations_.list();
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 5u);
  const auto& [one, two, four, five, seven] =
      std::tie((*entries)[0], (*entries)[1], (*entries)[2], (*entries)[3], (*entries)[4]);
  EXPECT_EQ(one.state, GenerationState::good);
  EXPECT_EQ(one.taken_at_ns, sample::job().taken_at_ns);
  EXPECT_EQ(one.world_size, 1);
  EXPECT_EQ(one.size, std::filesystem::file_size(one.path));
  EXPECT_EQ(two.state, GenerationState::damaged);
  EXPECT_NE(two.cause.find("truncated"), std::string::npos) << two.cause;
  EXPECT_EQ(four.number, 4u);
  EXPECT_EQ(five.state, GenerationState::damaged);
  EXPECT_NE(five.cause.find("it says it is generation 1"), std::string::npos) << five.cause;
  EXPECT_EQ(seven.state, GenerationState::partial);
  EXPECT_EQ(*generations_.next_number(), 8u);
}

TEST_F(GenerationDirectoryTest, FallsBackToAnOlderOne) {
  for (std::uint64_t number = 1; number <= 3; ++number) make(number);
  damage(3);
  // Payload damage shows in a deep look only.
  auto reader = GenerationReader::open(directory_ / "gen-000002.h5");
  ASSERT_TRUE(reader);
  const auto image = reader->rank(0);
  const auto file = linux_file_system().open(image->payload_file, O_RDWR);
  ASSERT_TRUE((*file)->pwrite("damaged", 7, image->payload_offset + 100));
  std::vector<SkippedGeneration> skipped;
  const auto shallow = generations_.newest_good(VerifyDepth::metadata, &skipped);
  ASSERT_TRUE(shallow);
  EXPECT_EQ(shallow->number, 2u);
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_EQ(skipped[0].number, 3u);
  skipped.clear();
  const auto deep = generations_.newest_good(VerifyDepth::payload, &skipped);
  ASSERT_TRUE(deep);
  EXPECT_EQ(deep->number, 1u);
  ASSERT_EQ(skipped.size(), 2u);
  EXPECT_NE(skipped[1].error.message().find("block 0"), std::string::npos);
}

TEST_F(GenerationDirectoryTest, Sweeps) {
  make(1);
  touch("gen-000002.h5.partial");
  touch("gen-000001.h5.partial");
  touch("gen-000002.node-a.h5");
  touch("gen-000002.node-b.h5.partial");
  touch("gen-000001.node-a.h5");
  touch("notes.partial");
  const auto removed = generations_.sweep_partial();
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, (std::vector<std::string>{"gen-000001.h5.partial", "gen-000002.h5.partial",
                                                "gen-000002.node-a.h5",
                                                "gen-000002.node-b.h5.partial"}));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000001.h5"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000001.node-a.h5"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "notes.partial"));
}

TEST_F(GenerationDirectoryTest, PrunesTheOldest) {
  for (std::uint64_t number = 1; number <= 5; ++number) make(number);
  touch("gen-000001.node-a.h5");
  EXPECT_EQ(*generations_.prune(3), (Numbers{1, 2}));
  EXPECT_EQ(numbers(), (Numbers{3, 4, 5}));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "gen-000001.node-a.h5"));
  EXPECT_EQ(*generations_.prune(3), Numbers{});
  EXPECT_EQ(*generations_.prune(0), (Numbers{3, 4}));
  EXPECT_EQ(numbers(), Numbers{5});
}

TEST_F(GenerationDirectoryTest, NeverPrunesTheLastGoodOne) {
  for (std::uint64_t number = 1; number <= 4; ++number) make(number);
  damage(3);
  damage(4);
  EXPECT_EQ(*generations_.prune(1), (Numbers{1, 3}));
  EXPECT_EQ(numbers(), (Numbers{2, 4}));
  damage(2);
  EXPECT_EQ(*generations_.prune(1), Numbers{}) << "with no good one none is thrown away";
}

}  // namespace
}  // namespace ckpt::image
