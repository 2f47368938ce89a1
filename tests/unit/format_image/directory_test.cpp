// Which generations there are, which is good, which go.
#include <cstring>
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
    const auto written = sample::write(
        linux_file_system(), directory_ / generation_file_name(number), sample::job(1, number), 3);
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

TEST(NodeFileName, IsPlainWhateverTheHostCallsItself) {
  EXPECT_EQ(node_file_name(7, "n1.example.org"), "gen-000007.node-n1.example.org.h5");
  EXPECT_EQ(node_file_name(7, "a/../b c\n\xff"), "gen-000007.node-a-..-b-c--.h5");
  const std::string name = node_file_name(7, std::string(500, 'x'));
  EXPECT_LT(partial_path(name).size(), 200u);
  for (const std::string& each :
       {name, node_file_name(7, ""), node_file_name(7, "x.h5"), node_file_name(7, "x.partial")})
    EXPECT_EQ(generation_number_of(each), 7u) << each;
}

TEST_F(GenerationDirectoryTest, Names) {
  EXPECT_EQ(generation_file_name(12), "gen-000012.h5");
  EXPECT_EQ(generation_file_name(12345678), "gen-12345678.h5");
  EXPECT_EQ(node_file_name(12, "n1.cluster"), "gen-000012.node-n1.cluster.h5");
  EXPECT_EQ(partial_path("/j/gen-000012.h5"), "/j/gen-000012.h5.partial");
  for (const char* name : {"gen-000012.h5", "gen-000012.h5.partial", "gen-000012.node-n1.c.h5",
                           "gen-000012.node-n1.h5.partial"}) {
    EXPECT_EQ(generation_number_of(name), 12u) << name;
  }
  for (const char* name : {"gen-12.h5", "gen-000012", "gen-000012.h5.bak", "xgen-000012.h5",
                           "gen-.h5", "gen-000012.node-.h5", "gen-000012x.h5", "gen--00012.h5",
                           "job.json", "gen-99999999999999999999999.h5", ""}) {
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
  EXPECT_EQ(*removed,
            (std::vector<std::string>{"gen-000001.h5.partial", "gen-000002.h5.partial",
                                      "gen-000002.node-b.h5.partial", "gen-000002.node-a.h5"}));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000001.h5"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000001.node-a.h5"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "notes.partial"));
}

// The file system when an older coordinator commits while its files are swept.
class FilesOfAnother : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode) override {
    return real_.open(path, flags, mode);
  }
  Status rename(const std::string& from, const std::string& to) override {
    return real_.rename(from, to);
  }
  Status unlink(const std::string& path) override {
    if (path.ends_with("gen-000002.h5.partial")) {
      EXPECT_TRUE(real_.rename(path, path.substr(0, path.size() - std::strlen(".partial"))));
    }
    return real_.unlink(path);
  }
  Status mkdir(const std::string& path, std::uint32_t mode) override {
    return real_.mkdir(path, mode);
  }
  Status fsync_directory(const std::string& path) override { return real_.fsync_directory(path); }
  Result<FileStatus> stat(const std::string& path) override { return real_.stat(path); }
  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    return real_.list_directory(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return real_.free_bytes(path);
  }

 private:
  FileSystem& real_ = linux_file_system();
};

TEST_F(GenerationDirectoryTest, ASweepTakesNothingFromAGenerationCommittedMeanwhile) {
  touch("gen-000002.h5.partial");
  touch("gen-000002.node-a.h5");
  FilesOfAnother files;
  ASSERT_TRUE(GenerationDirectory(files, directory_.path()).sweep_partial({1, 1}));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000002.h5"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000002.node-a.h5"));
}

TEST_F(GenerationDirectoryTest, PartialNamesTellWhoWrites) {
  const std::string path = "/j/gen-000012.node-n1.i3-x.h5";
  EXPECT_EQ(partial_path(path, {3, 5}), path + ".i3-5.partial");
  EXPECT_EQ(final_path_of(path + ".i3-5.partial"), path);
  EXPECT_EQ(final_path_of(path + ".partial"), path);
  EXPECT_EQ(final_path_of(path), path);
  EXPECT_EQ(generation_number_of("gen-000012.h5.i3-5.partial"), 12u);
  EXPECT_EQ(generation_number_of("gen-000012.h5.failed"), 12u);
}

TEST_F(GenerationDirectoryTest, SweepsWhatIsOfThePastAlone) {
  for (const char* name :
       {"gen-000002.h5.partial", "gen-000002.h5.i2-9.partial", "gen-000003.h5.i3-4.partial",
        "gen-000004.h5.i3-5.partial", "gen-000005.h5.i4-1.partial"}) {
    touch(name);
  }
  const auto removed = generations_.sweep_partial({3, 5});
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed,
            (std::vector<std::string>{"gen-000002.h5.i2-9.partial", "gen-000002.h5.partial",
                                      "gen-000003.h5.i3-4.partial"}));
}

TEST_F(GenerationDirectoryTest, AMarkedOneIsKeptAndNotOffered) {
  for (std::uint64_t number = 1; number <= 4; ++number) make(number);
  ASSERT_TRUE(generations_.mark_failed(4, "it failed twice"));
  ASSERT_TRUE(generations_.mark_failed(2, "it failed too"));
  EXPECT_EQ(*generations_.usable(), (std::vector<std::uint64_t>{3, 1}));
  std::vector<SkippedGeneration> skipped;
  EXPECT_EQ(generations_.newest_good(VerifyDepth::metadata, &skipped)->number, 3u);
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_NE(skipped[0].error.message().find("it failed twice"), std::string::npos);
  const auto entries = generations_.list();
  ASSERT_EQ(entries->size(), 4u);
  EXPECT_EQ(entries->back().state, GenerationState::failed);
  EXPECT_EQ(entries->back().cause, "it failed twice");
  // 1 and 3 count; 2 goes with what is older than the oldest kept, 4 stays.
  EXPECT_EQ(*generations_.prune(1), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "gen-000002.h5.failed"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "gen-000004.h5"));
}

TEST_F(GenerationDirectoryTest, ACommitAsksRightBeforeItsRename) {
  make(1);
  const std::string path = directory_ / "gen-000002.h5";
  std::filesystem::copy_file(directory_ / "gen-000001.h5", partial_path(path, {1, 1}));
  const auto refused =
      commit_generation(linux_file_system(), partial_path(path, {1, 1}), path,
                        []() -> Status { return fail("commit", "", "not any more", ESTALE); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ESTALE);
  EXPECT_FALSE(std::filesystem::exists(path));
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
