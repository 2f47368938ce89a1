// The command line's connection to a job's coordinator.
//
// Purpose: connect with the key of coordinator.json (TLS), send a message, wait
//   for answers.
// Ownership: owns the connection. Threads: one.
// Units: milliseconds; -1 waits without end.
// Errors: connect() fails with code ECONNREFUSED when no coordinator is there
//   (also when coordinator.json is missing or stale), EACCES when who is there
//   does not know our key, or we not his; ETIMEDOUT when an answer does not come
//   in time. No call raises SIGPIPE.
// Source: format/tls/stream.hpp, format/wire/PROTOCOL.md.
#pragma once

#include <memory>

#include "coordinator/job_directory/job_directory.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::coordinator {

class ControlClient {
 public:
  static Result<ControlClient> connect(const JobDirectory& directory, int timeout_ms = 5000);

  ControlClient(ControlClient&&) noexcept;
  ControlClient& operator=(ControlClient&&) noexcept;
  ~ControlClient();

  Status send(const wire::Message& message);
  Result<wire::Message> receive(int timeout_ms);
  std::int32_t coordinator_pid() const { return pid_; }

 private:
  struct Line;  // the socket and what drives it
  explicit ControlClient(std::unique_ptr<Line> line);
  std::unique_ptr<Line> line_;
  wire::FrameReader reader_;
  std::int32_t pid_ = 0;
};

}  // namespace ckpt::coordinator
