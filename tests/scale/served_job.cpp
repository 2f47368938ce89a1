#include "tests/scale/served_job.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/launch/child_process.hpp"
#include "format/posix/try.hpp"

namespace ckpt::scale {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::minutes kCommandTime{10};

int ms_until(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

// A connection that a child has as well would not end when its agent dies.
void keep_descriptors() { static_cast<void>(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)); }

// VALUE of KEY=VALUE in a line of the log.
std::string field(const std::string& line, const std::string& key) {
  const std::size_t at = line.find(" " + key + "=");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size() + 2;
  return line.substr(begin, line.find(' ', begin) - begin);
}

}  // namespace

ServedJob::ServedJob(std::string program) : program_(std::move(program)) {
  base_ = std::filesystem::temp_directory_path().string() + "/ckpt-scale-XXXXXX";
  if (::mkdtemp(base_.data()) == nullptr) std::abort();
  directory_ = base_ + "/job";
}

ServedJob::~ServedJob() {
  crash();
  std::error_code ignored;
  std::filesystem::remove_all(base_, ignored);
}

void ServedJob::crash() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

Status ServedJob::start() {
  const auto made = CKPT_TRY(coordinator::JobDirectory::create(linux_file_system(), directory_));
  coordinator::JobDescription job;
  job.name = "job";
  job.command = {"mpirun", "./simulated"};
  job.cwd = "/";
  job.options.listen = "local";
  job.options.timeout_ms = 300'000;
  CKPT_TRY(made.write_job(job));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", "");
  ready_ = UniqueFd(ends[0]);
  said_.clear();
  const UniqueFd writer(ends[1]);
  coordinator::Spawn what;
  what.arguments = {program_,       "serve",
                    directory_,     "--verbose",
                    "--ready-fd",   std::to_string(writer.get()),
                    "--parent-pid", std::to_string(::getpid())};
  for (char** each = environ; *each != nullptr; ++each) what.environment.emplace_back(*each);
  what.death_signal = SIGKILL;
  what.output = base_ + "/output";
  what.inherit = {writer.get()};
  sigemptyset(&what.mask);
  keep_descriptors();
  pid_ = CKPT_TRY(coordinator::spawn(what));
  return await_line("ready", std::chrono::seconds(60));
}

Status ServedJob::await_line(const std::string& line, std::chrono::seconds bound) {
  const auto end = Clock::now() + bound;
  for (;;) {
    for (std::size_t at; (at = said_.find('\n')) != std::string::npos;) {
      const std::string next = said_.substr(0, at);
      said_.erase(0, at + 1);
      if (next == line) return {};
    }
    pollfd ready{ready_.get(), POLLIN, 0};
    char bytes[4096];
    const int polled = ::poll(&ready, 1, ms_until(end));
    const ssize_t got = polled > 0 ? ::read(ready_.get(), bytes, sizeof bytes) : -1;
    if (got == 0) return fail("wait for", line, "the coordinator has ended: " + said_);
    if (got < 0) return fail("wait for", line, "timeout", ETIMEDOUT);
    said_.append(bytes, static_cast<std::size_t>(got));
  }
}

Result<std::string> ServedJob::command(const std::vector<std::string>& words) const {
  keep_descriptors();
  std::vector<std::string> arguments = {program_, words[0], directory_};
  arguments.insert(arguments.end(), words.begin() + 1, words.end());
  return coordinator::output_of(arguments, kCommandTime);
}

nlohmann::json ServedJob::json_of(const std::string& name) const {
  const auto said = command({name, "--json"});
  if (!said) return {{"failed", said.error().message()}};
  return nlohmann::json::parse(*said, nullptr, false);
}

Result<int> ServedJob::end(std::chrono::seconds bound) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  ::kill(pid_, SIGTERM);
  pollfd ended{process.get(), POLLIN, 0};
  if (::poll(&ended, 1, ms_until(Clock::now() + bound)) <= 0) {
    return fail("end", "the coordinator", "timeout", ETIMEDOUT);
  }
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  return status;
}

Usage ServedJob::usage() const {
  Usage usage;
  const std::string process = "/proc/" + std::to_string(pid_);
  std::ifstream status(process + "/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> usage.peak_kib;
  }
  std::ifstream stat(process + "/stat");
  std::string text;
  std::getline(stat, text);
  std::istringstream behind(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) behind >> skipped;
  std::uint64_t user = 0, system = 0;
  behind >> user >> system;
  usage.cpu_s = static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return usage;
}

std::vector<std::string> ServedJob::files() const {
  std::vector<std::string> names;
  const auto all = linux_file_system().list_directory(directory_);
  for (const std::string& name : all ? *all : std::vector<std::string>()) {
    if (name.rfind("gen-", 0) == 0) names.push_back(name);
  }
  return names;
}

std::vector<std::pair<std::string, double>> ServedJob::states_of(std::uint64_t generation) const {
  std::vector<std::pair<std::string, double>> entered;
  std::ifstream log(directory_ + "/log");
  const std::string number = std::to_string(generation);
  for (std::string line; std::getline(log, line);) {
    if (field(line, "generation") != number) continue;
    const std::string event = field(line, "event");
    if (event == "state") {
      entered.emplace_back(field(line, "state"), std::stod(field(line, "after_ns")) / 1e9);
    } else if (event == "committed") {
      entered.emplace_back("end", std::stod(field(line, "duration_ns")) / 1e9);
    }
  }
  for (std::size_t i = 0; i + 1 < entered.size(); ++i) {
    entered[i].second = entered[i + 1].second - entered[i].second;
  }
  return entered;  // the last is the sum
}

std::size_t ServedJob::logged(const std::string& event) const {
  std::ifstream log(directory_ + "/log");
  std::size_t count = 0;
  for (std::string line; std::getline(log, line);) count += field(line, "event") == event ? 1 : 0;
  return count;
}

}  // namespace ckpt::scale
