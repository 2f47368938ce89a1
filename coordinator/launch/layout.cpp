#include "coordinator/launch/layout.hpp"

#include <sys/un.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

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

Result<RuntimeDirectory> RuntimeDirectory::make() {
  const std::string name = "/ckpt-coord-" + std::to_string(::getuid()) + "-XXXXXX";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  constexpr std::size_t kRoom = sizeof(sockaddr_un::sun_path) - sizeof("/agent.sock");
  int error = 0;
  for (const std::string& base : {std::string(runtime != nullptr ? runtime : ""),
                                  std::string("/tmp")}) {
    if (base.empty() || base.front() != '/' || base.size() + name.size() > kRoom) continue;
    std::string path = base + name;
    if (::mkdtemp(path.data()) != nullptr) return RuntimeDirectory(path);
    error = errno;
  }
  return fail_errno("mkdtemp", "/tmp" + name, error);
}

RuntimeDirectory::~RuntimeDirectory() {
  if (path_.empty()) return;
  ::unlink(agent_socket().c_str());
  ::rmdir(path_.c_str());
}

}  // namespace ckpt::coordinator
