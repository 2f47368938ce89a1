// LimitGuard: a process beside `run` that watches the Slurm job's time limit.
//
// Purpose: carries out limit_plan.hpp: asks Slurm for the end, takes the last
//   checkpoint in time and requeues the job. Asked by warn(), it takes one at once.
// Ownership: owns its process, which dies with its maker. Threads: make it in a
//   process of one thread (fork).
// Units: milliseconds. Errors: logged in the job's log; none reaches the job.
// Source: scontrol(1); fork(2), PR_SET_PDEATHSIG, pidfd_open(2).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "coordinator/batch_system/slurm_job.hpp"
#include "coordinator/job_directory/job_directory.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::coordinator {

class LimitGuard {
 public:
  LimitGuard() = default;  // guards nothing
  // `has_generation`: the job could go on from one already.
  static LimitGuard start(const JobDirectory& directory, const SlurmJob& job, bool has_generation);
  LimitGuard(LimitGuard&& other) noexcept;
  LimitGuard& operator=(LimitGuard&& other) noexcept;
  ~LimitGuard();

  // The job is about to be ended: a checkpoint now. It ends when that is done.
  // False when there is nobody to do it.
  bool warn() const;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  UniqueFd process_;
};

}  // namespace ckpt::coordinator
