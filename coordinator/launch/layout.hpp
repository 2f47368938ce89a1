// Where the parts of ckpt-coord lie: relative to the running program, in the
// build tree as in an installed prefix (bin/ckpt-coord, lib/ckpt-coord/).
#pragma once

#include <string>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::coordinator {

struct Layout {
  std::string program;       // this one, absolute
  std::string shim;          // libckpt_shim.so
  std::string agent;         // ckpt-agent
  std::string restore_rank;  // ckpt-restore-rank
};

// Fails when a part is missing, by name. $CKPT_PARTS_DIR overrides the folder
// of the parts (for tests with a fake agent).
Result<Layout> find_layout();

// Room for the agent's socket: 0700, a path that fits sockaddr_un. Locked as long
// as it is used; make() also removes what a killed process of this user left.
class RuntimeDirectory {
 public:
  static Result<RuntimeDirectory> make();
  RuntimeDirectory(RuntimeDirectory&& other) noexcept
      : path_(std::move(other.path_)), lock_(std::move(other.lock_)) {
    other.path_.clear();
  }
  RuntimeDirectory& operator=(RuntimeDirectory&&) = delete;
  ~RuntimeDirectory();  // removes it with the socket in it

  const std::string& path() const { return path_; }
  std::string agent_socket() const { return path_ + "/agent.sock"; }

 private:
  RuntimeDirectory(std::string path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;
};

}  // namespace ckpt::coordinator
