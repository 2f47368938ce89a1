// A job in the foreground, started again when it fails: `run` and `restart`.
//
// Purpose: carries out what supervision_fsm decides: raises the incarnation,
//   starts the job, and at a failure restarts it from the generation chosen,
//   without the nodes that failed.
// Ownership: the job's run lock is the caller's. Threads: one.
// Errors: an exit code, complained of on stderr; otherwise mpirun's status.
// Source: supervision_fsm.hpp, foreground_job.hpp.
#pragma once

#include <functional>

#include "coordinator/commands/command.hpp"
#include "coordinator/launch/foreground_job.hpp"

namespace ckpt::coordinator {

struct StartPlan {
  std::uint64_t generation = 0;  // of the directory; 0: from the beginning, or from another file
  std::string image;             // "": from the beginning
  JobDescription job;
  std::vector<std::string> command;
};

struct Supervised {
  JobDirectory directory;
  Layout layout;
  Lineage lineage;
  bool accept_changed_files = false;
  // How to go on from a generation. It tells why not, and returns the exit code.
  std::function<tl::expected<StartPlan, int>(std::uint64_t generation)> plan;
  const LimitGuard* guard = nullptr;  // warned before the end
  bool* started = nullptr;            // set when there was a job at all
};

// `first` is started in the incarnation `incarnation`, which was raised already.
int run_supervised(Context& context, const Supervised& how, StartPlan first,
                   Incarnation incarnation);

// The record of a generation as a start; complains and returns an exit code when
// it is none of this job. `options`: mpirun's, in place of the saved command's;
// `file`, where `generation` is 0: not one of the directory's, and perhaps of a job of
// another name.
tl::expected<StartPlan, int> plan_from_generation(
    Context& context, const JobDirectory& directory, const Layout& layout, std::uint64_t generation,
    const std::optional<std::vector<std::string>>& options, const std::string& file);

}  // namespace ckpt::coordinator
