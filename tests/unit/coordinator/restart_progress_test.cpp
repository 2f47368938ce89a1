#include "coordinator/launch/restart_progress.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ckpt::coordinator {
namespace {

TEST(RestartProgress, TheRankThatIsFurthestBehindGivesThePhase) {
  const ckpt_restart_record records[] = {{CKPT_RESTART_CONTINUED, 0, 100, 100},
                                         {CKPT_RESTART_READING, 0, 40, 100}};
  const RestartState state = summarize(records);
  EXPECT_EQ(state.phase, CKPT_RESTART_READING);
  EXPECT_EQ(state.ranks_waiting, 0);
  EXPECT_EQ(state.bytes_done, 140u);
  EXPECT_EQ(state.bytes_total, 200u);
}

TEST(RestartProgress, RanksWithoutARecordAreWaitedFor) {
  const ckpt_restart_record records[] = {{CKPT_RESTART_REBUILDING, 0, 7, 7}, {}, {}};
  const RestartState state = summarize(records);
  EXPECT_EQ(state.phase, CKPT_RESTART_WAITING);
  EXPECT_EQ(state.ranks_waiting, 2);
}

TEST(RestartProgress, ARecordOfNonsenseStaysWithinItsTotal) {
  const ckpt_restart_record records[] = {{CKPT_RESTART_READING, 0, ~0ull, 10}};
  EXPECT_EQ(summarize(records).bytes_done, 10u);
}

TEST(RestartProgress, ReplacesWhatAKilledRestartLeftAndFollowsNoLink) {
  char base[] = "/tmp/ckpt-restart-progress-XXXXXX";
  ASSERT_NE(::mkdtemp(base), nullptr);
  const std::string job = std::string(base) + "/job", bait = std::string(base) + "/bait";
  auto directory = JobDirectory::create(linux_file_system(), job);
  ASSERT_TRUE(directory);
  const std::string file = directory->file(CKPT_RESTART_PROGRESS_FILE);
  ASSERT_EQ(::symlink(bait.c_str(), file.c_str()), 0);
  {
    const auto progress = RestartProgress::make(*directory, 3);
    ASSERT_TRUE(progress) << progress.error().message();
    struct stat status {};
    ASSERT_EQ(::lstat(file.c_str(), &status), 0);
    EXPECT_TRUE(S_ISREG(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777u, 0600u);
    EXPECT_EQ(status.st_size, 3 * static_cast<off_t>(sizeof(ckpt_restart_record)));
    EXPECT_NE(::access(bait.c_str(), F_OK), 0);
  }
  EXPECT_NE(::access(file.c_str(), F_OK), 0) << "gone with the restart";
  ::rmdir(job.c_str());
  ::rmdir(base);
}

}  // namespace
}  // namespace ckpt::coordinator
