#include "agent/relay/node_directory.hpp"

#include <ctime>
#include <mutex>

#include "format/posix/file_system.hpp"
#include "format/posix/private_directory.hpp"

namespace ckpt::relay {
namespace {

constexpr const char* kLock = "/agent.lock";

// All that an agent and the ranks that start it put there. The lock last: who
// waits for it finds it gone, and makes a new one.
void remove_contents(const std::string& path) {
  for (const char* name : {"/agent.sock", "/agent.err", kLock}) ::unlink((path + name).c_str());
  ::rmdir(path.c_str());  // stays when something else is in it
}

}  // namespace

struct NodeDirectory::Claim {
  std::mutex mutex;
  std::string path;  // "": given back
  UniqueFd lock;

  void give_back() {
    const std::lock_guard alone(mutex);
    if (!path.empty()) remove_contents(path);
    path.clear();
    lock.reset();
  }
};

NodeDirectory NodeDirectory::with(const std::string& path, UniqueFd lock) {
  auto claim = std::make_shared<Claim>();
  claim->path = path;
  claim->lock = std::move(lock);
  return NodeDirectory(std::move(claim));
}

Result<NodeDirectory> NodeDirectory::claim(const std::string& socket, int lock_fd) {
  const std::string path = directory_of(socket);
  if (auto made = make_private_directory(path); !made) return tl::unexpected(made.error());
  if (lock_fd >= 0) {
    UniqueFd lock(lock_fd);
    struct stat status {};
    if (::fstat(lock_fd, &status) != 0 || ::flock(lock_fd, LOCK_EX | LOCK_NB) != 0)
      return fail_errno("take over the lock", std::to_string(lock_fd));
    ::fcntl(lock_fd, F_SETFD, FD_CLOEXEC);
    return with(path, std::move(lock));
  }
  auto lock = lock_private_file(path + kLock);
  if (!lock) return tl::unexpected(lock.error());
  return with(path, std::move(*lock));
}

NodeDirectory::~NodeDirectory() {
  if (claim_) claim_->give_back();
}

std::function<void()> NodeDirectory::remover() const {
  return [claim = claim_] { claim->give_back(); };
}

void sweep_node_directories(const std::string& base) {
  const auto names = linux_file_system().list_directory(base);
  if (!names) return;
  constexpr std::time_t kYoung = 60;  // its maker may just be about to lock it
  const std::string prefix = "ckpt-coord-" + std::to_string(::geteuid()) + "-";
  for (const std::string& name : *names) {
    const std::string path = base + "/" + name;
    struct stat status {};
    if (name.rfind(prefix, 0) != 0 || ::lstat(path.c_str(), &status) != 0) continue;
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) continue;
    if (status.st_mtime > std::time(nullptr) - kYoung) continue;
    if (const auto lock = lock_private_file(path + kLock)) remove_contents(path);
  }
}

}  // namespace ckpt::relay
