// JobDirectory: $CKPT_DIR/JOB/ and the small files in it.
//
// Purpose: job.json (what `run` was given), coordinator.json (where the
//   coordinator listens, and the key), and the locks by which no two
//   coordinators and no two `run`s ever serve one job.
// Ownership: nothing is kept open but by JobLock. Threads: no state.
// Units: seconds, as the name says; times in ns since the epoch.
// Errors: Error with the path; a file of another user, or one that others can
//   read though it holds the key, is refused.
// Source: ARCHITECTURE.md "Processes"; fcntl(2), open file description locks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/posix/file_system.hpp"
#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"
#include "format/wire/coordinator_file.hpp"

namespace ckpt::coordinator {

struct JobOptions {
  std::uint64_t every_seconds = 0;       // 0: only when asked
  bool every_auto = false;               // from cost and failure rate; every_seconds is then 0
  std::uint64_t mtbf_seconds = 0;        // given failure rate; 0: what is observed
  std::uint64_t silence_ms = 20'000;     // an agent not heard for so long is lost
  std::uint64_t max_restarts = 0;        // of a job that failed, in the same process
  std::vector<std::string> spare_hosts;  // "node7" or "node7:4"
  std::uint64_t keep = 2;                // generations
  std::uint64_t timeout_ms = 600'000;    // bound on each state of a checkpoint
  std::string on_unsupported = "stop";   // or "native"
  std::string listen = "auto";           // or "local", "all": for which nodes the coordinator does
  bool operator==(const JobOptions&) const = default;
};

struct JobDescription {
  std::string name;
  std::vector<std::string> command;      // what stood behind --
  std::vector<std::string> environment;  // NAME=value
  std::string cwd;
  std::int32_t world_size = 0;  // 0: no rank was seen yet
  JobOptions options;
  std::int64_t started_at_ns = 0;
  std::uint64_t restarted_from = 0;    // generation, 0: from the beginning
  std::uint64_t first_generation = 0;  // older ones are of another run; 0: all are of this one
  std::string slurm_job;               // in which it was started last; "": in none
  // Of earlier starts that --max-restarts watched: what `--every auto` learns from.
  double ran_s = 0;
  std::uint64_t failures = 0;
};

using wire::CoordinatorAddress;

// job.json as text, and back.
std::string job_text(const JobDescription& job);
Result<JobDescription> parse_job(const std::string& text);

// Held as long as the object lives; the kernel drops it when the process dies.
class JobLock {
 public:
  explicit JobLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  UniqueFd fd_;
};

// "sim42" under `base`, or a path when it has a '/' ("./sim42", "/scratch/sim42").
// A name is letters, digits and . _ - + @, not led by '.' or '-'.
Result<std::string> resolve_job_path(std::string_view job, const std::string& base);
// --dir, else $CKPT_DIR, else ~/.ckpt-coord.
std::string default_base_directory();

class JobDirectory {
 public:
  // `create` makes it (0700) with its parents; `open` insists that it is there
  // and holds a job.json.
  static Result<JobDirectory> create(FileSystem& files, const std::string& path);
  static Result<JobDirectory> open(FileSystem& files, const std::string& path);

  const std::string& path() const { return path_; }
  std::string name() const { return base_name_of(path_); }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string log_path() const { return file("log"); }

  Result<JobDescription> read_job() const;
  Status write_job(const JobDescription& job) const;

  // ENOENT: no coordinator runs (or it ended in good order).
  Result<CoordinatorAddress> read_coordinator() const;
  Status write_coordinator(const CoordinatorAddress& address) const;
  // That of the process `pid` on this node; another one's stays.
  void remove_coordinator(std::int32_t pid) const;
  bool is_coordinator(std::int32_t pid) const;

  enum class LockKind { run, coordinator, incarnation };
  // EWOULDBLOCK when another process has it.
  Result<JobLock> lock(LockKind kind) const;
  // Whether some process has it; takes nothing.
  bool is_locked(LockKind kind) const;

 private:
  std::string lock_path(LockKind kind) const;
  JobDirectory(FileSystem& files, std::string path) : files_(&files), path_(std::move(path)) {}
  FileSystem* files_;
  std::string path_;
};

}  // namespace ckpt::coordinator
