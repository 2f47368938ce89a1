// The command line's connection to a job's coordinator.
//
// Purpose: connect with the secret of coordinator.json, send a message, wait
//   for answers.
// Ownership: owns the socket. Threads: one.
// Units: milliseconds; -1 waits without end.
// Errors: connect() fails with code ECONNREFUSED when no coordinator is there
//   (also when coordinator.json is missing or stale), EACCES when it does not
//   take the secret; ETIMEDOUT when an answer does not come in time.
#pragma once

#include <optional>

#include "coordinator/job_directory/job_directory.hpp"
#include "format/posix/unique_fd.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::coordinator {

class ControlClient {
 public:
  static Result<ControlClient> connect(const JobDirectory& directory, int timeout_ms = 5000);

  Status send(const wire::Message& message);
  Result<wire::Message> receive(int timeout_ms);
  std::int32_t coordinator_pid() const { return pid_; }

 private:
  explicit ControlClient(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  wire::FrameReader reader_;
  std::int32_t pid_ = 0;
};

}  // namespace ckpt::coordinator
