// ServedJob: a job directory with a real `ckpt-coord serve`, and its commands.
//
// Ownership: the directory goes, and the coordinator is ended, with the object.
// Threads: checkpoint() may be called from another one. Units: as named.
// Errors: Error with what the program said.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::scale {

struct Usage {
  std::uint64_t peak_kib = 0;  // VmHWM
  double cpu_s = 0;
};

class ServedJob {
 public:
  explicit ServedJob(std::string program);
  ~ServedJob();
  ServedJob(const ServedJob&) = delete;
  ServedJob& operator=(const ServedJob&) = delete;

  // A coordinator, until it says `ready`. Where one was before it has crashed.
  Status start();
  void crash();
  // Its next line on the ready descriptor that is `line`.
  Status await_line(const std::string& line, std::chrono::seconds bound);
  // What the command wrote to stdout; an Error is what it complained of.
  Result<std::string> command(const std::vector<std::string>& words) const;
  nlohmann::json json_of(const std::string& command) const;
  // SIGTERM; its wait status.
  Result<int> end(std::chrono::seconds bound);

  Usage usage() const;
  const std::string& directory() const { return directory_; }
  std::vector<std::string> files() const;  // of generations
  // Seconds a generation spent in each state, from the log.
  std::vector<std::pair<std::string, double>> states_of(std::uint64_t generation) const;
  std::size_t logged(const std::string& event) const;

 private:
  std::string program_, base_, directory_;
  pid_t pid_ = -1;
  UniqueFd ready_;
  std::string said_;
};

}  // namespace ckpt::scale
