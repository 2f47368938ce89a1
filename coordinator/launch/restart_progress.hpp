// RestartProgress: how far a restart is, until the job runs again.
//
// Purpose: makes the file that the ranks write their records into, looks at it
//   from time to time and shows phase, bytes and rate; the end of the restart is
//   the coordinator's word that all ranks are rebuilt.
// Ownership: the file, which goes with this object.
// Threads: the foreground job's. look() waits for the coordinator at most
//   kAnswerMs, and asks it only when all ranks have their memory.
// Units: milliseconds. Errors: make() reports; a restart without this is a
//   restart all the same.
// Source: format/wire/restart_progress.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/terminal/progress_line.hpp"
#include "format/posix/unique_fd.hpp"
#include "format/wire/restart_progress.h"

namespace ckpt::coordinator {

// What the records of all ranks say together.
struct RestartState {
  std::uint32_t phase = CKPT_RESTART_WAITING;  // of the rank that is furthest behind
  std::int32_t ranks_waiting = 0;              // that mpirun has not started yet
  std::uint64_t bytes_done = 0, bytes_total = 0;
};
RestartState summarize(std::span<const ckpt_restart_record> records);

class RestartProgress {
 public:
  static constexpr std::chrono::milliseconds kLookEvery{200};
  static constexpr int kAnswerMs = 500;

  static Result<RestartProgress> make(const JobDirectory& directory, std::int32_t ranks);
  RestartProgress(RestartProgress&&) = default;
  ~RestartProgress();

  // Shows where the restart is; false when it is complete.
  bool look();

 private:
  RestartProgress(const JobDirectory& directory, std::int32_t ranks, UniqueFd file);
  RestartState read() const;
  bool rebuilt() const;

  const JobDirectory* directory_;
  std::int32_t ranks_;
  UniqueFd file_;
  std::unique_ptr<ProgressLine> line_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::optional<std::chrono::steady_clock::time_point> reading_since_;
  std::optional<std::uint32_t> shown_;
};

}  // namespace ckpt::coordinator
