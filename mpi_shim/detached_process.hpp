// Starting a program from a rank so that the rank's program never notices.
//
// Purpose: the new process is no child of this one (no SIGCHLD, nothing for its
//   wait()), is in a session of its own, has no descriptor of this one but
//   one, default signal handling and an empty signal mask.
// Ownership: the caller keeps its descriptors. Threads: the caller alone stands
//   still until the program runs; all signals must be blocked in it.
// Errors: what keeps it from running, with errno.
// Source: clone(2) CLONE_VM, CLONE_VFORK and a zero exit signal; wait(2) __WALL;
//   prctl(2) PR_SET_CHILD_SUBREAPER.
#pragma once

#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::shim {

struct DetachedProgram {
  std::vector<std::string> arguments;  // [0] is its path
  std::vector<std::string> environment;
  int kept = -1;       // descriptor that becomes kKept there
  std::string output;  // stdout and stderr; made 0600

  static constexpr int kKept = 3;
};

Status start_detached(const DetachedProgram& program);

}  // namespace ckpt::shim
