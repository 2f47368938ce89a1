#include "agent/restore/process_surroundings.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "fmt/format.h"

namespace ckpt::restore {
namespace {

void set_limit(int which, const image::ResourceLimit& wanted, std::vector<std::string>& warnings) {
  const auto resource = static_cast<__rlimit_resource>(which);
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return;
  if (now.rlim_cur == wanted.soft && now.rlim_max == wanted.hard) return;
  rlimit next{wanted.soft, wanted.hard};
  if (::setrlimit(resource, &next) == 0) return;
  // An ordinary user may not raise the hard limit: as near as may be.
  next.rlim_max = std::min<rlim_t>(wanted.hard, now.rlim_max);
  next.rlim_cur = std::min<rlim_t>(wanted.soft, next.rlim_max);
  const bool set = ::setrlimit(resource, &next) == 0;
  if (!set || next.rlim_cur != wanted.soft) {
    warnings.push_back(fmt::format("resource limit {} is {}, at the checkpoint it was {}", which,
                                   set ? next.rlim_cur : now.rlim_cur, wanted.soft));
  }
}

}  // namespace

Status close_inherited_descriptors() {
  const char* pmi = std::getenv("PMI_FD");
  const int kept = pmi == nullptr ? -1 : std::atoi(pmi);
  DIR* open_ones = ::opendir("/proc/self/fd");
  if (open_ones == nullptr) return fail_errno("open", "/proc/self/fd");
  std::vector<int> numbers;
  while (const dirent* entry = ::readdir(open_ones)) {
    const int fd = std::atoi(entry->d_name);
    if (fd > 2 && fd != kept && fd != ::dirfd(open_ones)) numbers.push_back(fd);
  }
  ::closedir(open_ones);
  for (int fd : numbers) ::close(fd);
  return {};
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Status enter_surroundings(const image::Process& process, std::vector<std::string>& warnings) {
  if (::chdir(process.cwd.c_str()) != 0) return fail_errno("chdir", process.cwd);
  ::umask(process.umask);
  for (std::size_t i = 0; i < process.limits.size() && i < RLIM_NLIMITS; ++i) {
    set_limit(static_cast<int>(i), process.limits[i], warnings);
  }
  return {};
}

}  // namespace ckpt::restore
