// What Slurm says about the job this process is part of, and how to ask for
// another allocation like it.
//
// Purpose: the name of a checkpointed job under Slurm; whether it was requeued;
//   the sbatch line of a restart; when its time is over.
// Ownership: values. Threads: pure functions, but for ask_slurm().
// Units: seconds; times as seconds since the epoch.
// Errors: what Slurm's text does not say is an empty optional.
// Source: sbatch(1) "OUTPUT ENVIRONMENT VARIABLES", scontrol(1); tried with 22.05.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::coordinator {

struct SlurmJob {
  std::string id;              // SLURM_JOB_ID: what scontrol is asked about
  std::string name;            // as squeue shows it: "42", "42_7" for a task of an array
  std::uint64_t restarts = 0;  // how often it was requeued
};

// The job of this environment; nullopt outside an allocation. All components of
// a heterogeneous job are one job, that of its first component.
std::optional<SlurmJob> slurm_job_of(const std::vector<std::string>& environment);

// sbatch's options for an allocation like the one `saved` was an environment of.
std::vector<std::string> sbatch_options(const std::vector<std::string>& saved,
                                        const std::string& cwd);
// Slurm does not tell a job its time limit. It is kept in the environment under
// the name by which sbatch takes one.
constexpr const char* kTimeLimitVariable = "SBATCH_TIMELIMIT";

// A field of `scontrol --oneliner show job`: "TimeLimit" -> "00:10:00".
std::optional<std::string> slurm_field(std::string_view text, std::string_view name);
// "2026-11-27T12:00:00" in local time; nullopt for "Unknown" or "N/A".
std::optional<std::int64_t> slurm_time(const std::string& text);

// Runs `scontrol --oneliner show job ID`.
Result<std::string> ask_slurm(const std::string& job_id, std::chrono::milliseconds patience);
// Of that text: a batch job, and one that its owner and the site let be requeued.
bool may_be_requeued(std::string_view text);
// Of that text: it is to make room for another job, and given some time to end.
bool is_preempted(std::string_view text);
// Runs `scontrol requeue ID`: Slurm ends the job, and begins its script again.
Status requeue(const std::string& job_id, std::chrono::milliseconds patience);

// A word for sh(1), quoted.
std::string shell_word(const std::string& word);

}  // namespace ckpt::coordinator
