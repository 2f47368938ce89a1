// Snapshots of a real program (tests/tracees/threads_and_state), record by record.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/user.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"
#include "agent/snapshot/node_snapshot.hpp"
#include "format/image/generation_reader.hpp"
#include "tests/unit/agent/child_program.hpp"

namespace ckpt {
namespace {

using test::ChildProgram;

std::uint64_t pattern(std::uint64_t i) { return i * 0x9e3779b97f4a7c15ull + 1; }

struct SnapshotOfAProgram : testing::TestWithParam<bool> {
  std::string directory;
  std::unique_ptr<ChildProgram> program;

  void SetUp() override {
    char name[] = "/tmp/ckpt-snapshot-test-XXXXXX";
    directory = ::mkdtemp(name);
    program = std::make_unique<ChildProgram>(
        std::vector<std::string>{CKPT_TRACEES "/tracee_threads_and_state", directory, "4"});
    await_ticks(5);
  }
  void TearDown() override {
    program.reset();
    std::filesystem::remove_all(directory);
  }
  std::size_t ticks() const {
    std::ifstream file(directory + "/ticks");
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }
  void await_ticks(std::size_t wanted) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (ticks() < wanted) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the program does not go on";
      std::this_thread::yield();
    }
  }
  std::string path() const { return directory + "/gen-000001.h5.partial"; }

  snapshot::RankRequest request() const {
    snapshot::RankRequest request;
    request.rank = 0;
    request.pid = program->pid();
    request.fork_allowed = GetParam();
    return request;
  }
  image::JobRecord job() const {
    image::JobRecord job;
    job.job = "test";
    job.world_size = 1;
    job.generation = 1;
    return job;
  }
  // Writes the snapshot and reads it back.
  image::RankImage take() {
    snapshot::NodeSnapshot snapshot({request()});
    auto frozen = snapshot.freeze();
    EXPECT_TRUE(frozen) << frozen.error().error.message();
    EXPECT_EQ(frozen->front().fork_failure.empty(), GetParam());
    auto writer = image::GenerationWriter::create(linux_file_system(), path(), job());
    EXPECT_TRUE(writer);
    auto written = snapshot.write(*writer);
    EXPECT_TRUE(written) << written.error().error.message();
    EXPECT_TRUE(writer->finish());
    auto reader = image::GenerationReader::open(path());
    EXPECT_TRUE(reader) << reader.error().message();
    EXPECT_TRUE(reader->verify(image::VerifyDepth::payload));
    return reader->rank(0).value();
  }
  // The word at an address of the image; 0 where no page is stored.
  std::uint64_t word(const image::RankImage& rank, const image::Region& region,
                     std::uint64_t address) const {
    for (const image::PageRun& run : region.runs) {
      if (address < run.address || address >= run.address + run.pages * 4096) continue;
      std::ifstream file(path(), std::ios::binary);
      file.seekg(static_cast<std::streamoff>(rank.payload_offset + run.index * 4096 + address -
                                             run.address));
      std::uint64_t value = 0;
      file.read(reinterpret_cast<char*>(&value), sizeof value);
      return value;
    }
    return 0;
  }
  // Every second page holds the pattern, the others are not stored.
  void expect_pattern(const image::RankImage& rank, const image::Region& region) const {
    std::uint64_t stored = 0;
    for (const image::PageRun& run : region.runs) stored += run.pages;
    const std::uint64_t pages = (region.end - region.start) / 4096;
    EXPECT_EQ(stored, pages / 2);
    for (std::uint64_t page = 0; page < pages; page += 17)
      EXPECT_EQ(word(rank, region, region.start + page * 4096 + 8),
                page % 2 == 0 ? pattern(page * 512 + 1) : 0)
          << page;
  }
};

TEST_P(SnapshotOfAProgram, HoldsItsState) {
  const image::RankImage rank = take();
  const image::Process& process = rank.process;
  EXPECT_EQ(process.pid, program->pid());
  EXPECT_EQ(process.umask, 027u);
  EXPECT_EQ(process.limits.size(), 16u);
  EXPECT_NE(process.layout.brk, 0u);
  EXPECT_EQ(process.interval_timers[0].interval_us, 25'000);
  ASSERT_EQ(process.signal_actions.size(), 64u);
  EXPECT_GT(process.signal_actions[SIGALRM - 1].handler, 1u);
  EXPECT_TRUE(process.signal_actions[SIGALRM - 1].flags & SA_ONSTACK);

  ASSERT_EQ(process.threads.size(), 5u);
  EXPECT_EQ(process.threads[0].tid, program->pid());
  EXPECT_NE(process.threads[0].alt_stack.address, 0u);
  for (const image::Thread& thread : process.threads) {
    user_regs_struct registers{};
    ASSERT_EQ(thread.registers.size(), sizeof registers);
    std::memcpy(&registers, thread.registers.data(), sizeof registers);
    EXPECT_EQ(registers.orig_rax, ~0ull);
    EXPECT_GE(static_cast<std::int64_t>(registers.rax), -511) << "a kernel's own result";
    EXPECT_GE(thread.xsave.size(), 576u);
    EXPECT_NE(thread.tid_address, 0u);
    EXPECT_NE(thread.robust_list.head, 0u);
    EXPECT_EQ(thread.signal_mask, 0u);
  }

  std::map<std::string, const image::Descriptor*> files;
  for (const image::Descriptor& descriptor : process.descriptors)
    if (descriptor.same_as < 0) files[descriptor.path] = &descriptor;
  ASSERT_TRUE(files.contains(directory + "/ticks"));
  const image::Descriptor& log = *files[directory + "/ticks"];
  EXPECT_EQ(log.kind, image::DescriptorKind::regular_file);
  EXPECT_TRUE(log.flags & O_APPEND);
  EXPECT_EQ(static_cast<std::uint64_t>(log.offset), log.size);
  bool duplicate = false;
  for (const image::Descriptor& descriptor : process.descriptors)
    duplicate = duplicate || descriptor.same_as == log.fd;
  EXPECT_TRUE(duplicate);
}

TEST_P(SnapshotOfAProgram, HoldsItsMemory) {
  const image::RankImage rank = take();
  int heaps = 0, stacks = 0, patterns = 0, vdsos = 0;
  for (const image::Region& region : rank.process.regions) {
    heaps += region.heap;
    stacks += region.grows_down;
    vdsos += region.kind == image::RegionKind::vdso;
    if (region.runs.empty() || region.runs.front().address != region.start ||
        word(rank, region, region.start) != pattern(0))
      continue;
    ++patterns;  // private, hidden, shared and changed file pages
    expect_pattern(rank, region);
  }
  EXPECT_EQ(heaps, 1);
  EXPECT_EQ(stacks, 1);
  EXPECT_EQ(vdsos, 1);
  EXPECT_EQ(patterns, 4);
}

TEST_P(SnapshotOfAProgram, HarmsNothing) {
  for (int round = 0; round < 20; ++round) {
    snapshot::NodeSnapshot snapshot({request()});
    ASSERT_TRUE(snapshot.freeze());
    const auto status = proc::read_whole(proc::path_of(program->pid(), "status"));
    EXPECT_EQ(proc::parse_status(*status)->tracer, 0);
    const auto children = proc::read_whole(
        proc::path_of(program->pid(), "task/" + std::to_string(program->pid()) + "/children"));
    EXPECT_EQ(*children, "");
  }
  await_ticks(ticks() + 3);
  std::ofstream(directory + "/stop").put('\n');
  EXPECT_EQ(program->wait(), 0);
  std::ifstream verdict(directory + "/verdict");
  std::string word;
  verdict >> word;
  EXPECT_EQ(word, "good");
}

// As with storage that hangs: nobody comes to write or to drop.
TEST_P(SnapshotOfAProgram, CancelledEndsItsCopiesAtOnce) {
  if (!GetParam()) GTEST_SKIP() << "no copy";
  snapshot::NodeSnapshot snapshot({request()});
  const auto copies = [this] {
    int found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const auto text = proc::read_whole(entry.path().string() + "/status");
      const auto status =
          text ? proc::parse_status(*text) : Result<proc::StatusFacts>(Failure(text.error()));
      if (!status || !std::filesystem::exists("/proc/self/task/" + std::to_string(status->tracer)))
        continue;
      found += text->find("State:\tZ") == std::string::npos;
    }
    return found;
  };
  ASSERT_TRUE(snapshot.freeze());
  EXPECT_EQ(copies(), 1);
  snapshot.cancel();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (copies() != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(copies(), 0);
  await_ticks(ticks() + 3);
}

INSTANTIATE_TEST_SUITE_P(Ways, SnapshotOfAProgram, testing::Bool(),
                         [](const auto& info) { return info.param ? "Forked" : "WhileStopped"; });

TEST(SnapshotOfNothing, SaysThatTheProcessIsGone) {
  ChildProgram program({"/bin/true"});
  const int pid = program.pid();
  program.wait();
  snapshot::RankRequest request;
  request.rank = 3;
  request.pid = pid;
  snapshot::NodeSnapshot snapshot({request});
  auto frozen = snapshot.freeze();
  ASSERT_FALSE(frozen);
  EXPECT_EQ(frozen.error().rank, 3);
  EXPECT_TRUE(frozen.error().vanished) << frozen.error().error.message();
}

}  // namespace
}  // namespace ckpt
