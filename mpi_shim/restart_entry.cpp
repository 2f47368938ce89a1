// How a restart gets into whatever program mpirun starts in a rank's place.
#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "mpi_shim/epoch.hpp"
#include "mpi_shim/inherited_sockets.hpp"
#include "mpi_shim/parts_directory.hpp"

extern char** environ;

namespace ckpt::shim {

std::string parts_directory() {
  Dl_info info;
  if (dladdr(&g_restart_block, &info) == 0 || !info.dli_fname) return ".";
  char path[PATH_MAX];
  const std::string library = realpath(info.dli_fname, path) ? path : info.dli_fname;
  const std::size_t slash = library.rfind('/');
  return slash == std::string::npos ? "." : library.substr(0, slash);
}

namespace {

// One of our own parts: it must run, not be replaced again.
bool in_parts_directory(const std::string& parts) {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return false;
  const std::string executable(path, static_cast<std::size_t>(length));
  return executable.compare(0, parts.size() + 1, parts + "/") == 0;
}

// mpirun's daemon names the rank in a variable of its own. srun does not, and gives
// a task's environment to its TaskProlog and TaskEpilog as well, which run as other
// processes: who of them is the rank is told by the task's pid.
bool starts_a_rank() {
  if (std::getenv("OMPI_COMM_WORLD_RANK") != nullptr) return true;
  if (std::getenv("PMIX_RANK") == nullptr) return false;
  const char* task = std::getenv("SLURM_TASK_PID");
  return task == nullptr || std::atol(task) == getpid();
}

__attribute__((constructor)) void become_the_old_process() {
  close_launchers_sockets();
  if (!std::getenv("CKPT_RESTART_IMAGE")) return;
  if (!starts_a_rank()) return;
  const std::string parts = parts_directory();
  if (in_parts_directory(parts)) return;
  const std::string restorer = parts + "/ckpt-restore-rank";
  char* arguments[] = {const_cast<char*>(restorer.c_str()), nullptr};
  execve(restorer.c_str(), arguments, environ);
  std::fprintf(stderr, "ckpt-coord: execve %s: %s\n", restorer.c_str(), std::strerror(errno));
  _exit(1);
}

}  // namespace
}  // namespace ckpt::shim
