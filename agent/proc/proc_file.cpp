#include "agent/proc/proc_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace ckpt::proc {

std::string path_of(int pid, const std::string& name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

Result<std::string> read_whole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open", path);
  std::string text;
  // Files below /proc report no size; large reads keep one snapshot of seq files longer.
  std::size_t used = 0;
  text.resize(64 * 1024);
  for (;;) {
    if (used == text.size()) text.resize(text.size() * 2);
    const ssize_t got = ::read(fd, text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int code = errno;
      ::close(fd);
      return fail_errno("read", path, code);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  ::close(fd);
  text.resize(used);
  return text;
}

Result<std::string> read_link(const std::string& path) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return fail_errno("readlink", path);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
  if (!directory) return fail_errno("opendir", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return fail_errno("readdir", path);
  return names;
}

Result<std::vector<int>> list_tasks(int pid) {
  auto names = list_directory(path_of(pid, "task"));
  if (!names) return tl::unexpected(names.error());
  std::vector<int> tids;
  for (const std::string& name : *names) tids.push_back(std::atoi(name.c_str()));
  std::sort(tids.begin(), tids.end());
  return tids;
}

bool is_gone(const Error& error) { return error.code == ENOENT || error.code == ESRCH; }

}  // namespace ckpt::proc
