#include "coordinator/launch/mpirun_stand_in.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "coordinator/launch/mpi_command.hpp"
#include "format/posix/file_system.hpp"

namespace ckpt::coordinator {
namespace {

constexpr const char* kSelf = "/proc/self/exe";

bool same_file(const std::string& a, const std::string& b) {
  struct stat one {
  }, other{};
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// The folders of PATH, an empty one being the working directory.
std::vector<std::string> folders(const std::string& path) {
  std::vector<std::string> all;
  std::size_t from = 0;
  for (;;) {
    const std::size_t end = path.find(':', from);
    const std::string one = path.substr(from, end == std::string::npos ? end : end - from);
    all.push_back(one.empty() ? "." : one);
    if (end == std::string::npos) return all;
    from = end + 1;
  }
}

}  // namespace

std::string find_in_path(const std::string& name, const std::string& path,
                         const std::string& except) {
  for (const std::string& folder : folders(path)) {
    const std::string file = folder + "/" + name;
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (::access(file.c_str(), X_OK) == 0 && !same_file(file, except)) return file;
  }
  return "";
}

std::string path_without(const std::string& path, const std::string& name,
                         const std::string& except) {
  std::string rest;
  for (const std::string& folder : folders(path)) {
    if (same_file(folder + "/" + name, except)) continue;
    if (!rest.empty()) rest += ':';
    rest += folder;
  }
  return rest;
}

int stand_in_for_mpirun(const std::vector<std::string>& arguments) {
  std::vector<std::string> environment = own_environment();
  const std::string name = base_name_of(arguments.front());
  const std::string path = variable(environment, "PATH").value_or("");
  const std::string real = find_in_path(name, path, kSelf);
  if (real.empty()) {
    std::fprintf(stderr, "ckpt-coord: %s: not found in PATH\n", name.c_str());
    return 127;
  }
  set_variable(environment, "PATH", path_without(path, name, kSelf));
  LaunchLine line = list_beside_x_options({arguments, std::move(environment)});
  line.arguments.front() = real;
  std::vector<char*> argv, envp;
  for (std::string& each : line.arguments) argv.push_back(each.data());
  for (std::string& each : line.environment) envp.push_back(each.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  ::execve(real.c_str(), argv.data(), envp.data());
  std::fprintf(stderr, "ckpt-coord: execve %s: %s\n", real.c_str(), std::strerror(errno));
  return 126;
}

}  // namespace ckpt::coordinator
