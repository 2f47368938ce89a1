// An agent keeps nothing of the rank that starts it.
#include "agent/relay/own_process.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace ckpt::relay {
namespace {

// In a process of its own: 0, or the number of what was kept.
int kept_of_the_rank() {
  const sched_param batch{};
  if (::sched_setscheduler(0, SCHED_BATCH, &batch) != 0) return 1;
  std::signal(SIGXFSZ, SIG_DFL);
  leave_the_rank(::getpid());
  if (::sched_getscheduler(0) != SCHED_OTHER) return 2;
  return std::signal(SIGXFSZ, SIG_DFL) == SIG_IGN ? 0 : 3;
}

TEST(OwnProcess, LeavesTheRanksSchedulingAndItsEndByFileSize) {
  const int child = ::fork();
  if (child == 0) ::_exit(kept_of_the_rank());
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ckpt::relay
