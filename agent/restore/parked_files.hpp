// ParkedFiles: descriptors the restorer needs, out of the program's way.
//
// Purpose: the program's descriptors go back to their own numbers; whatever
//   the restore itself holds open is moved above the highest of them.
// Ownership: parked descriptors stay open until the restorer closes them, or
//   this process ends.
// Threads: one. Errors: open's errno, with the path.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::restore {

class ParkedFiles {
 public:
  // No parked descriptor gets a number below `first`.
  explicit ParkedFiles(int first) : first_(first) {}

  // Moves an open descriptor up; the old one is closed. `subject` for errors.
  Result<int> park(int fd, const std::string& subject);
  // A second descriptor for the same open file.
  Result<int> duplicate(int fd, const std::string& subject);
  Result<int> open(const std::string& path, int flags, unsigned mode = 0);

  // All that the restorer closes when the program's descriptors are in place.
  const std::vector<std::int32_t>& numbers() const { return numbers_; }

 private:
  int first_;
  std::vector<std::int32_t> numbers_;
};

}  // namespace ckpt::restore
