#include "agent/restore/parked_files.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace ckpt::restore {

Result<int> ParkedFiles::duplicate(int fd, const std::string& subject) {
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, first_);
  if (high < 0) return fail_errno("move descriptor of", subject);
  numbers_.push_back(high);
  return high;
}

Result<int> ParkedFiles::park(int fd, const std::string& subject) {
  auto high = duplicate(fd, subject);
  ::close(fd);
  return high;
}

Result<int> ParkedFiles::open(const std::string& path, int flags, unsigned mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode);
  if (fd < 0) return fail_errno("open", path);
  return park(fd, path);
}

}  // namespace ckpt::restore
