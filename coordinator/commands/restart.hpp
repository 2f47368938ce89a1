// `restart`, for the commands that end in one: it, and `run` in a requeued job.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/batch_system/slurm_job.hpp"
#include "coordinator/commands/command.hpp"
#include "coordinator/commands/job_options.hpp"

namespace ckpt::coordinator {

struct RestartOptions {
  JobArgument job;
  JobOptionArguments options;
  std::uint64_t generation = 0;  // 0: the newest good one
  std::string image;             // a file to start from, not one of the directory's
  bool accept_changed_files = false;
  bool here = false;                // never through sbatch
  std::vector<std::string> sbatch;  // further options for it
};

// To the job's end, in the foreground: its status, or an Exit.
int restart(Context& context, RestartOptions options);

// A job that ran under Slurm, asked for outside of it: submits a batch job that
// restarts it, and returns the exit code. nullopt: it is to be restarted here.
std::optional<int> submit_elsewhere(Context& context, const RestartOptions& options,
                                    const JobDirectory& directory);

// Puts the job's time limit into the environment that is saved (kTimeLimitVariable);
// a note on stderr when Slurm does not say.
void keep_time_limit(const SlurmJob& job, std::vector<std::string>& environment);

}  // namespace ckpt::coordinator
