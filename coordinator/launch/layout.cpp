#include "coordinator/launch/layout.hpp"

#include <sys/random.h>
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
  layout.launchers = directory_of(directory_of(layout.program)) + "/lib/ckpt-coord/launchers";
  for (const std::string* part : {&layout.shim, &layout.agent, &layout.restore_rank}) {
    if (::access(part->c_str(), R_OK) != 0) {
      return with_context(Error{"find", *part, std::strerror(errno), errno},
                          "ckpt-coord is not installed whole");
    }
  }
  return layout;
}

Result<std::string> make_agent_socket_path() {
  unsigned char bytes[8];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) {
    return fail_errno("getrandom", "");
  }
  std::string path = "/tmp/ckpt-coord-" + std::to_string(::geteuid()) + "-";
  for (const unsigned char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    path += kDigits[byte >> 4];
    path += kDigits[byte & 15];
  }
  return path + "/agent.sock";
}

}  // namespace ckpt::coordinator
