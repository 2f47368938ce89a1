// This node's name, as gethostname(2) gives it: what nodes are told apart by.
//
// Threads: no state. Errors: none; an empty name where the kernel gives none.
#pragma once

#include <unistd.h>

#include <string>

namespace ckpt {

inline std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace ckpt
