#include "mpi_shim/agent_starter.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "format/posix/host_name.hpp"
#include "format/posix/private_directory.hpp"
#include "mpi_shim/agent_starts.hpp"
#include "mpi_shim/detached_process.hpp"
#include "mpi_shim/lower_table.hpp"
#include "mpi_shim/parts_directory.hpp"

namespace ckpt::shim {

namespace {

constexpr int kFirstPauseMs = 10, kLongestPauseMs = 1000;
// An agent that ends in good order at the job's end is not to be followed by
// another one, for ranks that are just being ended.
constexpr std::uint64_t kAfterLossNs = 200'000'000;

volatile int g_lock_descriptor = -1;

// Closes the lock first: a child made between would keep it for its life.
class LockForgotten {
 public:
  explicit LockForgotten(Result<UniqueFd>& lock) : lock_(lock) {}
  ~LockForgotten() {
    if (lock_) lock_->reset();
    g_lock_descriptor = -1;
  }
  LockForgotten(const LockForgotten&) = delete;
  LockForgotten& operator=(const LockForgotten&) = delete;

 private:
  Result<UniqueFd>& lock_;
};

std::uint64_t now_ns() {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::string value_of(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& each : environment) {
    const std::string_view text = each;
    if (text.starts_with(name) && text.size() > name.size() && text[name.size()] == '=')
      return each.substr(name.size() + 1);
  }
  return "";
}

// What makes a rank a rank; an agent is none.
bool of_the_rank(std::string_view variable) {
  for (const std::string_view prefix :
       {"LD_PRELOAD=", "LD_AUDIT=", "CKPT_RESTART_IMAGE=", "OMPI_", "PMIX_", "PMI_"})
    if (variable.starts_with(prefix)) return true;
  return false;
}

// The last line an agent left that could not write to the job's log.
std::string last_words(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return "";
  char bytes[512];
  const off_t size = lseek(fd.get(), 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof bytes));
  const ssize_t got = pread(fd.get(), bytes, sizeof bytes, from);
  std::string text(bytes, got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const std::size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

}  // namespace

AgentStarter::AgentStarter(std::string socket, char* const* environment, int lowest)
    : socket_(std::move(socket)), lowest_(lowest) {
  const std::size_t slash = socket_.rfind('/');
  directory_ = socket_.substr(0, slash == std::string::npos ? 0 : slash);
  std::vector<std::string> all;
  for (char* const* each = environment; each && *each; ++each) all.emplace_back(*each);
  job_directory_ = value_of(all, "CKPT_JOB_DIR");
  for (std::string& each : all)
    if (!of_the_rank(each)) environment_.push_back(std::move(each));
}

int AgentStarter::nobody_listens() {
  // Without a job directory (a rank that `ckpt-coord run` did not start) there
  // is nothing an agent could do.
  if (directory_.empty() || job_directory_.empty()) return kLongestPauseMs;
  const std::uint64_t now = now_ns();
  if (now >= due_ns_) {
    const Result<bool> started = start_if_due();
    if (!started) complain(started.error().message() + "; the job runs without checkpoints");
    if (started && *started) pause_ms_ = 0;
  }
  int pause = next_pause();
  if (due_ns_ > now) pause = std::min(pause, static_cast<int>((due_ns_ - now) / 1'000'000) + 1);
  return pause;
}

// True: an agent was started by this call.
Result<bool> AgentStarter::start_if_due() {
  Status made = make_private_directory(directory_);
  if (!made) return Failure(made.error());
  Result<UniqueFd> lock =
      lock_private_file(directory_ + "/agent.lock", lowest_, &g_lock_descriptor);
  // A fork of the program falls between any two of these: what its child closes is the
  // lock's descriptor, or one that is closed already.
  const LockForgotten forgotten(lock);
  if (!lock) {
    // One lives, or is being started, or has just removed the directory it ends in.
    if (lock.error().code == EWOULDBLOCK || lock.error().code == ENOENT) return false;
    return Failure(lock.error());
  }
  AgentStarts before;
  if (pread(lock->get(), &before, sizeof before, 0) != static_cast<ssize_t>(sizeof before))
    before = {};
  const std::uint64_t now = now_ns();
  const AgentTurn turn = decide_start(before, now);
  Result<bool> done = turn.start;
  if (!turn.start) {
    due_ns_ = now + turn.wait_ns;
  } else if (pwrite(lock->get(), &turn.next, sizeof turn.next, 0) !=
             static_cast<ssize_t>(sizeof turn.next)) {
    done = fail_errno("write", directory_ + "/agent.lock");
  } else if (Status started = start(lock->get()); !started) {
    done = Failure(started.error());
  }
  return done;
}

Status AgentStarter::start(int lock) {
  DetachedProgram agent;
  agent.arguments = {parts_directory() + "/ckpt-agent",
                     "--job-dir",
                     job_directory_,
                     "--socket",
                     socket_,
                     "--lock-fd",
                     std::to_string(DetachedProgram::kKept),
                     "--started-by",
                     std::to_string(getpid())};
  agent.environment = environment_;
  agent.kept = lock;
  agent.output = directory_ + "/agent.err";
  const std::string words = last_words(agent.output);
  Status started = start_detached(agent);
  if (started && !lost_cause_.empty())
    complain("the agent on " + host_name() + " is gone (" + lost_cause_ +
             "); the job goes on, a new one was started");
  else if (started && !words.empty())
    complain("the agent on " + host_name() + " did not stay (" + words + "); started again");
  lost_cause_.clear();
  return started;
}

int AgentStarter::next_pause() {
  pause_ms_ = std::clamp(pause_ms_ * 2, kFirstPauseMs, kLongestPauseMs);
  return pause_ms_;
}

void AgentStarter::answered() {
  pause_ms_ = 0;
  refusals_ = 0;
  due_ns_ = 0;
  lost_cause_.clear();
  last_complaint_.clear();
}

void AgentStarter::lost(std::string cause) {
  lost_cause_ = std::move(cause);
  pause_ms_ = 0;
  due_ns_ = now_ns() + kAfterLossNs;
}

int AgentStarter::refused(const std::string& cause) {
  constexpr int kNotByChance = 3;  // one that was just ending is nothing to tell of
  if (++refusals_ == kNotByChance)
    complain("the agent on " + host_name() + " gives no welcome (" + cause +
             "); the job runs without checkpoints");
  return next_pause();
}

void AgentStarter::complain(const std::string& text) {
  if (text != last_complaint_)
    std::fprintf(stderr, "ckpt-coord: rank %d: %s\n", g_lower->rank, text.c_str());
  last_complaint_ = text;
}

void forget_agent_lock_in_child() {
  if (g_lock_descriptor >= 0) close(g_lock_descriptor);
}

}  // namespace ckpt::shim
