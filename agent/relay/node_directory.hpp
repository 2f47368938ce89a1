// NodeDirectory: where the agent's socket lies on its node, and its claim to it.
//
// Purpose: one agent per node and job: it holds the lock agent.lock for its
//   life (inherited from the rank that started it, or taken here). Its end
//   removes the directory; that of a killed one is removed by a later job's
//   agent.
// Ownership: owns the lock and, at its end, the directory with what is known in it.
// Threads: no state beyond. Errors: EWOULDBLOCK when another agent is there.
// Source: format/posix/private_directory.hpp; mpi_shim/agent_starter.hpp.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::relay {

class NodeDirectory {
 public:
  // The directory of `socket`. `lock_fd`: the inherited lock, or -1.
  static Result<NodeDirectory> claim(const std::string& socket, int lock_fd);
  NodeDirectory(NodeDirectory&&) noexcept = default;
  NodeDirectory& operator=(NodeDirectory&&) = delete;
  ~NodeDirectory();

  // Does what the destructor does, once, from any thread, also when this is gone.
  std::function<void()> remover() const;

 private:
  struct Claim;
  explicit NodeDirectory(std::shared_ptr<Claim> claim) : claim_(std::move(claim)) {}
  static NodeDirectory with(const std::string& path, UniqueFd lock);
  std::shared_ptr<Claim> claim_;
};

// Removes what killed agents of this user left below `base`, where no agent
// lives and a minute has passed.
void sweep_node_directories(const std::string& base);

}  // namespace ckpt::relay
