// Where the parts of ckpt-coord lie: relative to the running program, in the
// build tree as in an installed prefix (bin/ckpt-coord, lib/ckpt-coord/).
#pragma once

#include <string>

#include "format/posix/result.hpp"

namespace ckpt::coordinator {

struct Layout {
  std::string program;       // this one, absolute
  std::string shim;          // libckpt_shim.so
  std::string agent;         // ckpt-agent
  std::string restore_rank;  // ckpt-restore-rank
  std::string launchers;     // folder of the links that stand in for mpirun
};

// Fails when a part is missing, by name. $CKPT_PARTS_DIR overrides the folder
// of the parts (for tests with a fake agent).
Result<Layout> find_layout();

// Where this run's agents listen, on each node: a path that is good everywhere
// (not below $XDG_RUNTIME_DIR, which may exist on one node only) and that nobody
// can guess before it is there. Ranks and agents make it, and remove it.
Result<std::string> make_agent_socket_path();

}  // namespace ckpt::coordinator
