#include "coordinator/launch/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "format/posix/unique_fd.hpp"

namespace ckpt::coordinator {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (const std::string& each : strings) all.push_back(const_cast<char*>(each.c_str()));
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void give_up(int report) {
  const int error = errno;
  static_cast<void>(!::write(report, &error, sizeof error));
  ::_exit(127);
}

// In the child; all that fails goes through `report` to the parent.
[[noreturn]] void become(const Spawn& what, pid_t parent, char** arguments, char** environment,
                         int report) {
  if (what.death_signal != 0) {
    ::prctl(PR_SET_PDEATHSIG, what.death_signal);
    if (::getppid() != parent) ::_exit(127);  // it died in between
  }
  if (what.own_session && ::setsid() < 0) give_up(report);
  if (what.own_group) {
    ::setpgid(0, 0);
    // Both this and the parent set it, whoever comes first; SIGTTOU is blocked.
    if (what.terminal >= 0) ::tcsetpgrp(what.terminal, ::getpid());
  }
  if (!what.output.empty()) {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    const int out = ::open(what.output.c_str(), kAppend, 0600);
    if (null < 0 || out < 0) give_up(report);
    if (::dup2(null, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) give_up(report);
  }
  for (const int fd : what.inherit) ::fcntl(fd, F_SETFD, 0);
  if (!what.cwd.empty() && ::chdir(what.cwd.c_str()) != 0) give_up(report);
  for (const int signal : {SIGPIPE, SIGTTOU, SIGTTIN, SIGTSTP}) ::signal(signal, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &what.mask, nullptr);
  ::execvpe(arguments[0], arguments, environment);
  give_up(report);
}

}  // namespace

Result<pid_t> spawn(const Spawn& what) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return fail_errno("pipe", "");
  UniqueFd reader(report[0]), writer(report[1]);
  std::vector<char*> arguments = pointers(what.arguments);
  std::vector<char*> environment = pointers(what.environment);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", what.arguments[0]);
  if (pid == 0) become(what, parent, arguments.data(), environment.data(), writer.get());
  if (what.own_group) ::setpgid(pid, pid);  // fails when the child was faster: as good
  writer.reset();
  int error = 0;
  ssize_t got;
  do {
    got = ::read(reader.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof error)) {
    ::waitpid(pid, nullptr, 0);
    return fail_errno("start", what.arguments[0], error);
  }
  return pid;
}

namespace {

// An unnamed file with `text` in it, to be read from its start.
UniqueFd file_with(const std::string& text) {
  UniqueFd file(::memfd_create("input", MFD_CLOEXEC));
  std::size_t done = 0;
  while (file && done < text.size()) {
    const ssize_t wrote = ::write(file.get(), text.data() + done, text.size() - done);
    if (wrote <= 0) return UniqueFd();
    done += static_cast<std::size_t>(wrote);
  }
  if (file) ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string contents_of(const UniqueFd& file) {
  std::string text;
  char bytes[4096];
  ssize_t got;
  ::lseek(file.get(), 0, SEEK_SET);
  while ((got = ::read(file.get(), bytes, sizeof bytes)) > 0) {
    text.append(bytes, static_cast<std::size_t>(got));
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// False when it had to be killed.
bool wait_for(pid_t pid, std::chrono::milliseconds patience, int& status) {
  const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd readable{ended.get(), POLLIN, 0};
  const bool in_time = ended && ::poll(&readable, 1, static_cast<int>(patience.count())) > 0;
  if (!in_time) ::kill(pid, SIGKILL);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return in_time;
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& arguments,
                              std::chrono::milliseconds patience, const std::string& input) {
  const UniqueFd in = file_with(input), out = file_with({}), errors = file_with({});
  if (!in || !out || !errors) return fail_errno("memfd_create", arguments[0]);
  std::vector<char*> words = pointers(arguments);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", arguments[0]);
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::dup2(in.get(), 0);
    ::dup2(out.get(), 1);
    ::dup2(errors.get(), 2);
    ::execvp(words[0], words.data());
    ::dprintf(2, "%s", ::strerror(errno));
    ::_exit(127);
  }
  int status = 0;
  if (!wait_for(pid, patience, status)) {
    return fail("run", arguments[0], "no end within " + std::to_string(patience.count()) + " ms",
                ETIMEDOUT);
  }
  if (shell_status(status) != 0) {
    const std::string said = contents_of(errors);
    return fail("run", arguments[0], said.empty() ? describe_exit(status) : said,
                shell_status(status) == 127 ? ENOENT : EIO);
  }
  return contents_of(out);
}

std::string describe_exit(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return "killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  }
  return "exited with " + std::to_string(WEXITSTATUS(wait_status));
}

int shell_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace ckpt::coordinator
