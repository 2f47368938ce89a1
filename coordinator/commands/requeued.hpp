// A batch script that Slurm has begun again: what is there of its earlier run.
//
// Purpose: a requeued job goes on from its own generations and from no others; and
//   waits for the lock that its earlier run, on a node that died, may still hold.
// Ownership: values. Threads: one.
// Errors: own_generations(): the directory's; lock_for_run() complains and gives an
//   exit code.
// Source: SLURM_RESTART_COUNT in sbatch(1).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "coordinator/batch_system/slurm_job.hpp"
#include "coordinator/commands/command.hpp"

namespace ckpt::coordinator {

// Of the earlier runs of this script in this Slurm job, ascending, damaged ones too:
// who finds only those must say so, and not begin anew. Empty outside of a requeued job.
Result<std::vector<std::uint64_t>> own_generations(Context& context, const JobDirectory& directory,
                                                   const std::optional<SlurmJob>& slurm);

tl::expected<JobLock, int> lock_for_run(const JobDirectory& directory,
                                        const std::optional<SlurmJob>& slurm);

}  // namespace ckpt::coordinator
