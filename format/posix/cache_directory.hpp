// Where this node keeps the rewritten copies of the MPI library's parts.
//
// Purpose: a directory of the node, not a shared one: copies are named by what
//   the node's own file system says of a library, and a thousand nodes need not
//   meet in one home directory. $CKPT_CACHE_DIR overrides. (A header alone: the
//   shim links nothing of format/.)
// Ownership: nothing is kept. Threads: any; reads the environment.
// Errors: none: where no place is good the first is returned, and whoever opens it
//   says why it is not.
// Source: ARCHITECTURE.md "Agents"; statvfs(3) ST_NOEXEC.
#pragma once

#include <sys/statvfs.h>

#include <cstdlib>
#include <vector>

#include "format/posix/private_directory.hpp"

namespace ckpt {

inline std::string cache_directory() {
  if (const char* given = std::getenv("CKPT_CACHE_DIR"); given && *given) return given;
  const std::string own = "ckpt-coord-" + std::to_string(::geteuid());
  std::vector<std::string> places = {"/var/tmp/" + own};
  std::string of_home;  // there, as a rule
  if (const char* home = std::getenv("HOME"); home && *home == '/') {
    of_home = std::string(home) + "/.cache";
    places.push_back(of_home + "/ckpt-coord");
  }
  places.push_back("/tmp/" + own);
  for (const std::string& place : places) {
    struct statvfs mount {};
    if (!of_home.empty() && place.starts_with(of_home)) ::mkdir(of_home.c_str(), 0700);
    if (make_private_directory(place) && ::statvfs(place.c_str(), &mount) == 0 &&
        (mount.f_flag & (ST_NOEXEC | ST_RDONLY)) == 0)
      return place;
  }
  return places.front();
}

}  // namespace ckpt
