#include "coordinator/launch/layout.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <ctime>

#include "format/posix/file_system.hpp"

namespace ckpt::coordinator {

Result<Layout> find_layout() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0 || static_cast<std::size_t>(length) >= sizeof path) {
    return fail_errno("readlink", "/proc/self/exe");
  }
  Layout layout;
  layout.program.assign(path, static_cast<std::size_t>(length));
  const char* set = std::getenv("CKPT_PARTS_DIR");
  const std::string parts = set != nullptr && *set != '\0'
                                ? std::string(set)
                                : directory_of(directory_of(layout.program)) + "/lib/ckpt-coord";
  layout.shim = parts + "/libckpt_shim.so";
  layout.agent = parts + "/ckpt-agent";
  layout.restore_rank = parts + "/ckpt-restore-rank";
  for (const std::string* part : {&layout.shim, &layout.agent, &layout.restore_rank}) {
    if (::access(part->c_str(), R_OK) != 0) {
      return with_context(Error{"find", *part, std::strerror(errno), errno},
                          "ckpt-coord is not installed whole");
    }
  }
  return layout;
}

namespace {

constexpr const char* kSocket = "/agent.sock";

// Holds on to a directory; fails when another process does.
UniqueFd lock_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  return fd;
}

// What a killed `run` left: directories of this user that nobody holds, and not
// so young that their maker may just be about to.
void sweep(const std::string& base, const std::string& prefix) {
  const auto names = linux_file_system().list_directory(base);
  if (!names) return;
  constexpr std::time_t kYoung = 60;
  for (const std::string& name : *names) {
    const std::string path = base + "/" + name;
    struct stat status {};
    if (name.rfind(prefix, 0) != 0 || ::lstat(path.c_str(), &status) != 0) continue;
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) continue;
    if (status.st_mtime > std::time(nullptr) - kYoung || !lock_directory(path)) continue;
    ::unlink((path + kSocket).c_str());
    ::rmdir(path.c_str());  // stays when something else is in it
  }
}

}  // namespace

Result<RuntimeDirectory> RuntimeDirectory::make() {
  const std::string prefix = "ckpt-coord-" + std::to_string(::getuid()) + "-";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  constexpr std::size_t kRoom = sizeof(sockaddr_un::sun_path) - sizeof("/agent.sock");
  int error = 0;
  for (const std::string& base : {std::string(runtime != nullptr ? runtime : ""),
                                  std::string("/tmp")}) {
    std::string path = base + "/" + prefix + "XXXXXX";
    if (base.empty() || base.front() != '/' || path.size() > kRoom) continue;
    sweep(base, prefix);
    if (::mkdtemp(path.data()) != nullptr) return RuntimeDirectory(path, lock_directory(path));
    error = errno;
  }
  return fail_errno("mkdtemp", "/tmp/" + prefix + "XXXXXX", error);
}

RuntimeDirectory::~RuntimeDirectory() {
  if (path_.empty()) return;
  ::unlink(agent_socket().c_str());
  ::rmdir(path_.c_str());
}

}  // namespace ckpt::coordinator
