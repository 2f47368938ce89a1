// ckpt-coord run: a new job in the foreground.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "coordinator/commands/command.hpp"
#include "coordinator/commands/requeued.hpp"
#include "coordinator/commands/restart.hpp"
#include "coordinator/commands/supervised_job.hpp"
#include "coordinator/job_directory/incarnation_file.hpp"
#include "coordinator/time_limit/limit_guard.hpp"
#include "format/image/generation_directory.hpp"
#include "format/image/generation_reader.hpp"

namespace ckpt::coordinator {
namespace {

struct RunOptions {
  JobArgument job;
  JobOptionArguments options;
  CLI::Option* name = nullptr;  // --job
  bool fresh = false, or_native = false;
};

Result<std::string> working_directory() {
  char* path = ::getcwd(nullptr, 0);
  if (path == nullptr) return fail_errno("getcwd", "");
  std::string text = path;
  std::free(path);
  return text;
}

// A job that Slurm requeued goes on from its newest generation, when that is one of
// this very command. What cannot be read is for `restart` to complain of: beginning
// anew would in time remove what is there.
bool resumes(Context& context, const JobDirectory& directory, const SlurmJob& slurm) {
  const auto own = own_generations(context, directory, slurm);
  if (!own) return true;
  if (own->empty()) return false;
  const auto newest = image::GenerationReader::open(
      image::GenerationDirectory(context.files, directory.path()).path_of(own->back()),
      context.files);
  return !newest || newest->job().command == context.tail;
}

// The first number of this run: a restart by --max-restarts must not go back to
// an earlier run's.
std::uint64_t tell_of_earlier_generations(Context& context, const JobDirectory& directory) {
  const auto generations = image::GenerationDirectory(context.files, directory.path()).list();
  if (!generations || generations->empty()) return 1;
  std::fprintf(stderr,
               "ckpt-coord: %s has generations of an earlier run, up to %llu: they stay until "
               "newer ones replace them\n",
               directory.path().c_str(),
               static_cast<unsigned long long>(generations->back().number));
  return generations->back().number + 1;
}

// `started` tells whether there was a job; otherwise the Exit says why not.
int start(Context& context, const RunOptions& options, bool& started) {
  const auto slurm = slurm_job_of(own_environment());
  JobArgument where = options.job;
  const bool named = options.name->count() > 0;
  if (!named && slurm) where.job = slurm->name;
  if (!named && !slurm) {
    return complain(Exit::usage,
                    "run: give the job a name with --job (in a Slurm job its id is "
                    "the default)");
  }
  const auto path = where.path();
  if (!path) return complain(Exit::usage, path.error());
  const auto layout = find_layout();
  if (!layout) return complain(Exit::cannot_start, layout.error());
  const auto directory = JobDirectory::create(context.files, *path);
  if (!directory) return complain(Exit::cannot_write, directory.error());
  if (slurm && slurm->restarts > 0 && !options.fresh && resumes(context, *directory, *slurm)) {
    // Begun anew, natively or not, it would lose what it has.
    started = true;
    RestartOptions again;
    again.job = where;
    again.here = true;
    again.options = options.options;
    return restart(context, again);
  }
  LimitGuard guard;
  if (slurm) guard = LimitGuard::start(*directory, *slurm, false);
  const auto lock = lock_for_run(*directory, slurm);
  if (!lock) return lock.error();
  const auto cwd = working_directory();
  if (!cwd) return complain(Exit::failed, cwd.error());
  JobDescription job;
  job.name = directory->name();
  job.command = context.tail;
  job.environment = own_environment();
  job.cwd = *cwd;
  if (slurm) keep_time_limit(*slurm, job.environment);
  job.started_at_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  options.options.apply(job.options);
  auto incarnation = raise_incarnation(context.files, *directory);
  if (!incarnation) return complain(Exit::cannot_write, incarnation.error());
  Supervised how{*directory, *layout, {tell_of_earlier_generations(context, *directory), 0, false},
                 false,      {},      &guard};
  how.plan = [&](std::uint64_t generation) {
    return plan_from_generation(context, *directory, *layout, generation, std::nullopt, "");
  };
  how.started = &started;
  std::vector<std::string> command = job.command;
  return run_supervised(context, how, StartPlan{0, "", std::move(job), std::move(command)},
                        std::move(*incarnation));
}

int run(Context& context, const RunOptions& options) {
  if (context.tail.empty()) {
    return complain(Exit::usage,
                    "run: give the command behind --, as in "
                    "`ckpt-coord run --job sim42 -- mpirun -n 4 ./app`");
  }
  bool started = false;
  const int status = start(context, options, started);
  if (started || !options.or_native) return status;
  return run_natively(context.tail);
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = add_command(
      app, context, "run", "start a job that can be checkpointed: run --job NAME -- mpirun ...",
      [&context, options] { return run(context, *options); });
  options->name =
      command
          ->add_option("--job", options->job.job, "its name, or a directory [the Slurm job's id]")
          ->type_name("NAME");
  options->job.add_base_to(*command);
  options->options.add_to(*command);
  command->add_flag("--fresh", options->fresh, "from the beginning, also in a requeued Slurm job");
  command->add_flag("--or-native", options->or_native,
                    "when the job cannot be started so, start it without checkpoints");
}

}  // namespace ckpt::coordinator
