// A program started from a rank, which never notices.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "format/posix/unique_fd.hpp"
#include "mpi_shim/detached_process.hpp"

namespace ckpt::shim {
namespace {

volatile sig_atomic_t g_children_ended = 0;

// The started shell writes what it finds into the kept descriptor, a pipe.
class DetachedProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/ckpt-detached-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    base = path;
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    g_children_ended = 0;
    ::signal(SIGCHLD, [](int) { g_children_ended = g_children_ended + 1; });
  }
  void TearDown() override {
    ::signal(SIGCHLD, SIG_DFL);
    std::filesystem::remove_all(base);
  }
  Status start(const std::string& script) {
    DetachedProgram program;
    program.arguments = {"/bin/sh", "-c", script};
    program.environment = {"PATH=/bin:/usr/bin", "MARK=here"};
    program.kept = writer.get();
    program.output = base + "/err";
    // As in the shim's thread.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    Status done = start_detached(program);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return done;
  }
  // Until all writers are gone: the program has ended then.
  std::string output() {
    writer.reset();
    std::string text;
    char bytes[4096];
    pollfd ready{reader.get(), POLLIN, 0};
    while (::poll(&ready, 1, 20'000) == 1) {
      const ssize_t got = ::read(reader.get(), bytes, sizeof bytes);
      if (got <= 0) break;
      text.append(bytes, static_cast<std::size_t>(got));
    }
    return text;
  }
  std::string base;
  UniqueFd reader, writer;
};

TEST_F(DetachedProcess, IsNoChildOfOurs) {
  ASSERT_TRUE(start("exec >&3; echo $MARK"));
  EXPECT_EQ(output(), "here\n");
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(g_children_ended, 0);
}

TEST_F(DetachedProcess, HasItsOwnSessionAndNothingOfOurDescriptors) {
  const UniqueFd secret(::open("/dev/zero", O_RDONLY));  // not close-on-exec
  ASSERT_TRUE(
      start("x=$(readlink /proc/$$/fd/*); echo \"$x\" >&3;"
            "echo $$ $(cut -d' ' -f6 /proc/$$/stat) >&3"));
  const std::string text = output();
  EXPECT_EQ(text.find("/dev/zero"), std::string::npos) << text;
  EXPECT_NE(text.find("/dev/null\n"), std::string::npos) << text;
  const std::string err = base + "/err\n";
  EXPECT_NE(text.find(err + err), std::string::npos) << text;  // 1 and 2
  std::istringstream last(text.substr(text.rfind('\n', text.size() - 2) + 1));
  int pid = 0, session = 0;
  last >> pid >> session;
  EXPECT_NE(session, ::getsid(0));
  EXPECT_NE(session, pid) << "a leader could get a terminal";
}

TEST_F(DetachedProcess, HasDefaultSignals) {
  ::signal(SIGUSR1, SIG_IGN);
  ASSERT_TRUE(start("exec >&3; grep -E '^Sig(Blk|Ign|Cgt)' /proc/$$/status | cut -f2"));
  ::signal(SIGUSR1, SIG_DFL);
  std::istringstream lines(output());
  std::string blocked, ignored;
  lines >> blocked >> ignored;
  EXPECT_EQ(std::stoull(blocked, nullptr, 16), 0u);
  EXPECT_EQ(std::stoull(ignored, nullptr, 16), 0u);
}

TEST_F(DetachedProcess, SaysWhyItDoesNotRun) {
  DetachedProgram program;
  program.arguments = {base + "/missing"};
  program.kept = writer.get();
  program.output = base + "/err";
  const Status done = start_detached(program);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ENOENT);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "nothing is left behind";
}

TEST_F(DetachedProcess, AProgramThatAdoptsOrphansDoesNotGetIt) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1UL), 0);
  ASSERT_TRUE(start("exec >&3; echo up"));
  EXPECT_EQ(output(), "up\n");
  int adopts = 0;
  ::prctl(PR_GET_CHILD_SUBREAPER, &adopts);
  EXPECT_EQ(adopts, 1);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0UL);
}

TEST_F(DetachedProcess, AWaitOfTheProgramIsNotDisturbed) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  int seen = 0;
  std::thread waits([&] { seen = ::wait(nullptr); });
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(start("true"));
  output();
  ::kill(child, SIGKILL);
  waits.join();
  EXPECT_EQ(seen, child);
}

}  // namespace
}  // namespace ckpt::shim
