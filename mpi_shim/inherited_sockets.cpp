#include "mpi_shim/inherited_sockets.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace ckpt::shim {

void close_launchers_sockets() {
  const char* space = std::getenv("PMIX_NAMESPACE");
  if (space == nullptr || std::strncmp(space, "slurm.", 6) != 0) return;
  // slurmstepd has few descriptors; those of the program come later.
  constexpr int kFirst = 3, kBeyond = 256;
  for (int fd = kFirst; fd < kBeyond; ++fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode)) continue;
    if (status.st_uid != getuid()) close(fd);
  }
}

}  // namespace ckpt::shim
