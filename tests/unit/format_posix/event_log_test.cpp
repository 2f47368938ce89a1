// One event, one line.
#include "format/log/event_log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>
#include <vector>

#include "format/posix/unique_fd.hpp"

namespace ckpt {
namespace {

constexpr std::int64_t kTime = 1767323045678;  // 2026-01-02T03:04:05.678Z

class EventLogTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(directory_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::vector<std::string> lines() const {
    std::ifstream file(directory_ + "/log");
    std::vector<std::string> found;
    for (std::string line; std::getline(file, line);) found.push_back(line);
    return found;
  }
  EventLogOptions options() const { return {directory_ + "/log", false, LogLevel::info, {}}; }

  std::string directory_ = std::filesystem::temp_directory_path().string() + "/ckpt-test-XXXXXX";
};

TEST(FormatEvent, ALine) {
  EXPECT_EQ(format_event(kTime, LogLevel::info, "committed",
                         {{"generation", 12}, {"bytes", 1048576u}, {"rate", 0.5}, {"last", false}}),
            "2026-01-02T03:04:05.678Z level=info event=committed generation=12 bytes=1048576 "
            "rate=0.500000 last=false");
  EXPECT_EQ(format_event(-1, LogLevel::error, "x", {}),
            "1969-12-31T23:59:59.999Z level=error event=x");
}

TEST(FormatEvent, Quoting) {
  EXPECT_EQ(format_event(0, LogLevel::warning, "e",
                         {{"empty", ""},
                          {"space", "a b"},
                          {"quote", "say \"hi\""},
                          {"equals", "a=b"},
                          {"lines", "a\nb\tc\rd"},
                          {"control", std::string("\x01\x7f", 2)},
                          {"back", "a\\b"},
                          {"path", "/a/b-c_d.h5"},
                          {"utf8", "\xc3\xa4"}}),
            "1970-01-01T00:00:00.000Z level=warning event=e empty=\"\" space=\"a b\" "
            "quote=\"say \\\"hi\\\"\" equals=\"a=b\" lines=\"a\\nb\\tc\\rd\" "
            "control=\"\\x01\\x7f\" back=\"a\\\\b\" path=/a/b-c_d.h5 utf8=\xc3\xa4");
}

TEST(FormatEvent, Errors) {
  EXPECT_EQ(format_event(0, LogLevel::error, "failed",
                         {{"error", Error{"open", "/x", "No such file or directory", ENOENT}}}),
            "1970-01-01T00:00:00.000Z level=error event=failed "
            "error=\"open /x: No such file or directory\"");
}

TEST_F(EventLogTest, AppendsToAFileOfItsOwnUserOnly) {
  auto with_clock = options();
  with_clock.clock = [] { return kTime; };
  for (int round = 0; round < 2; ++round) {
    auto log = EventLog::open(with_clock);
    ASSERT_TRUE(log) << log.error().message();
    log->info("started", {{"round", round}});
    log->debug("not shown");
  }
  EXPECT_EQ(lines(), (std::vector<std::string>{
                         "2026-01-02T03:04:05.678Z level=info event=started round=0",
                         "2026-01-02T03:04:05.678Z level=info event=started round=1"}));
  struct stat status {};
  ASSERT_EQ(::stat((directory_ + "/log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(EventLogTest, LinesOfManyThreadsStayWhole) {
  auto log = EventLog::open(options());
  ASSERT_TRUE(log);
  auto other = EventLog::open(options());  // as another process would
  ASSERT_TRUE(other);
  std::vector<std::thread> threads;
  for (int number = 0; number < 8; ++number) {
    threads.emplace_back([&, number] {
      for (int i = 0; i < 200; ++i) {
        (number % 2 == 0 ? *log : *other)
            .info("tick", {{"thread", number}, {"i", i}, {"text", "some words here"}});
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const std::regex shape(
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info event=tick thread=\d i=\d+ text="some words here")");
  const auto found = lines();
  EXPECT_EQ(found.size(), 1600u);
  for (const auto& line : found) EXPECT_TRUE(std::regex_match(line, shape)) << line;
}

// A pipe that nobody reads stands for storage that hangs.
TEST_F(EventLogTest, InTheBackgroundNothingHoldsUpWhoLogs) {
  std::signal(SIGPIPE, SIG_IGN);
  auto slow = options();
  slow.path = directory_ + "/pipe";
  slow.background = true;
  ASSERT_EQ(::mkfifo(slow.path.c_str(), 0600), 0);
  const UniqueFd reader(::open(slow.path.c_str(), O_RDONLY | O_NONBLOCK));
  std::string text(4000, 'x');
  {
    auto log = EventLog::open(slow);
    ASSERT_TRUE(log);
    for (int i = 0; i < 12'000; ++i) log->info("tick", {{"text", text}});
    EXPECT_GT(log->lost_lines(), 0u);
  }  // waits for a while, then leaves it behind
  auto quick = options();
  quick.background = true;
  { EventLog::open(quick)->info("last"); }
  ASSERT_FALSE(lines().empty());
  EXPECT_NE(lines().back().find("event=last"), std::string::npos);
}

TEST_F(EventLogTest, AFullDiskIsCountedAndNothingElse) {
  auto full = options();
  full.path = "/dev/full";
  auto log = EventLog::open(full);
  ASSERT_TRUE(log);
  log->error("lost");
  log->error("lost");
  EXPECT_EQ(log->lost_lines(), 2u);
  const auto none = EventLog::open({directory_ + "/none/log", false, LogLevel::info, {}});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ENOENT);
}

}  // namespace
}  // namespace ckpt
