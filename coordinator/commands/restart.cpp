// ckpt-coord restart: a job again, from a generation, in the foreground.
#include "coordinator/commands/restart.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "coordinator/commands/chosen_generation.hpp"
#include "coordinator/commands/command.hpp"
#include "coordinator/commands/requeued.hpp"
#include "coordinator/commands/supervised_job.hpp"
#include "coordinator/control_client/control_client.hpp"
#include "coordinator/job_directory/incarnation_file.hpp"
#include "coordinator/time_limit/limit_guard.hpp"
#include "format/image/generation_directory.hpp"
#include "format/image/generation_reader.hpp"

namespace ckpt::coordinator {
namespace {

// A coordinator of a job that has just ended goes by itself; give it that time.
bool coordinator_is_gone(const JobDirectory& directory) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(5);
  while (Clock::now() < until) {
    if (!directory.is_locked(JobDirectory::LockKind::coordinator)) return true;
    auto client = ControlClient::connect(directory, 1000);
    if (client) {
      // Returns when it closes the connection, which is when it ends.
      static_cast<void>(client->receive(1000));
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // no event to wait for
    }
  }
  return false;
}

// The job directory; with --image it is made where it is missing, from what the
// file tells of the job.
tl::expected<JobDirectory, int> open_directory(Context& context, const RestartOptions& options,
                                               const image::JobRecord* record) {
  if (record == nullptr) return options.job.open(context);
  const auto path = options.job.path();
  if (!path) return tl::unexpected(complain(Exit::usage, path.error()));
  auto there = JobDirectory::open(context.files, *path);
  if (there) return *there;
  if (there.error().code != ENOENT) {
    return tl::unexpected(complain(Exit::no_such_job, there.error()));
  }
  auto made = JobDirectory::create(context.files, *path);
  if (!made) return tl::unexpected(complain(Exit::cannot_write, made.error()));
  JobDescription job;
  job.name = made->name();
  job.command = record->command;
  job.environment = record->environment;
  job.cwd = record->cwd;
  if (Status written = made->write_job(job); !written) {
    return tl::unexpected(complain(Exit::cannot_write, written.error()));
  }
  return *made;
}

// Whether Slurm has begun this very batch script again, and what the earlier run of
// it has committed: then that is gone on from, not what it was told to begin with.
bool began_again(Context& context, const JobDirectory& directory,
                 const std::optional<SlurmJob>& slurm) {
  const auto own = own_generations(context, directory, slurm);
  return own && !own->empty();
}

struct NamedImage {
  ChosenGeneration chosen;
  image::JobRecord record;
};

tl::expected<NamedImage, int> open_image(Context& context, const std::string& given) {
  std::error_code error;
  const std::string path = std::filesystem::canonical(given, error).string();
  if (error) {
    return tl::unexpected(
        complain(Exit::no_generation, Error{"open", given, error.message(), error.value()}));
  }
  auto reader = image::GenerationReader::open(path, context.files);
  Status good = reader ? reader->verify(image::VerifyDepth::metadata) : Failure(reader.error());
  if (!good) return tl::unexpected(complain(Exit::bad_image, good.error()));
  return NamedImage{{reader->job().generation, path}, reader->job()};
}

}  // namespace

int restart(Context& context, RestartOptions options) {
  std::optional<NamedImage> named;
  const auto slurm = slurm_job_of(own_environment());
  if (!options.image.empty()) {
    auto opened = open_image(context, options.image);
    if (!opened) return opened.error();
    named = std::move(*opened);
  }
  const auto directory = open_directory(context, options, named ? &named->record : nullptr);
  if (!directory) return directory.error();
  if (const auto submitted = submit_elsewhere(context, options, *directory)) return *submitted;
  const auto layout = find_layout();
  if (!layout) return complain(Exit::cannot_start, layout.error());
  LimitGuard guard;
  if (slurm) guard = LimitGuard::start(*directory, *slurm, true);
  const auto lock = lock_for_run(*directory, slurm);
  if (!lock) return lock.error();
  if (!coordinator_is_gone(*directory)) {
    return complain(Exit::running, "restart " + directory->name() + ": its coordinator still runs");
  }
  // The fence first, then the look for the newest: what an older coordinator
  // still commits is there by then, or never (server/checkpoints.cpp).
  auto incarnation = raise_incarnation(context.files, *directory);
  if (!incarnation) return complain(Exit::cannot_write, incarnation.error());
  image::GenerationDirectory generations(context.files, directory->path());
  if (const auto swept = generations.sweep_partial({incarnation->number, 0}); !swept) {
    return complain(Exit::cannot_write, swept.error());
  }
  Lineage lineage;
  if (began_again(context, *directory, slurm)) {
    lineage.first_own = directory->read_job()->first_generation;
    lineage.named = std::exchange(options.generation, 0);
    named.reset();
  } else if (named || options.generation != 0) {
    const auto next = generations.next_number();
    if (!next) return complain(Exit::failed, next.error());
    lineage = {*next, options.generation, named.has_value()};
  }
  ChosenGeneration from;
  if (named) {
    from = {0, named->chosen.path};
  } else {
    const auto chosen =
        choose_generation(context, *directory, options.generation, image::VerifyDepth::metadata);
    if (!chosen) return chosen.error();
    from = *chosen;
  }
  if (!lineage.holds(from.number)) {
    return complain(Exit::bad_image,
                    "restart " + directory->name() + ": generation " + std::to_string(from.number) +
                        " is of an earlier run, and those of this one are damaged");
  }
  std::optional<std::vector<std::string>> given;
  if (context.has_tail) given = context.tail;
  Supervised how{*directory, *layout, lineage, options.accept_changed_files, {}, &guard};
  how.plan = [&](std::uint64_t generation) {
    return plan_from_generation(context, *directory, *layout, generation, given,
                                generation == 0 ? from.path : "");
  };
  auto first = how.plan(from.number);
  if (!first) return first.error();
  if (from.number != 0 && from.number < first->job.first_generation) {
    std::fprintf(stderr, "ckpt-coord: generation %llu is of an earlier run of %s\n",
                 static_cast<unsigned long long>(from.number), directory->name().c_str());
  }
  options.options.apply(first->job.options);
  return run_supervised(context, how, std::move(*first), std::move(*incarnation));
}

void add_restart(CLI::App& app, Context& context) {
  auto options = std::make_shared<RestartOptions>();
  CLI::App* command = add_command(
      app, context, "restart", "continue a job from a generation: restart JOB [-- mpirun options]",
      [&context, options] { return restart(context, *options); });
  options->job.add_to(*command);
  CLI::Option* generation =
      command->add_option("--generation", options->generation, "which one [the newest good one]")
          ->type_name("N")
          ->check(CLI::PositiveNumber);
  command
      ->add_option("--image", options->image,
                   "start from this file (see export); the job's directory is made if missing")
      ->type_name("FILE")
      ->excludes(generation);
  command->add_flag("--accept-changed-files", options->accept_changed_files,
                    "restart although libraries or programs are newer than the generation");
  command->add_flag("--here", options->here,
                    "start it here, although it ran in a Slurm job and this is none");
  command
      ->add_option("--sbatch", options->sbatch,
                   "one more option for the sbatch of a job that ran under Slurm")
      ->type_name("OPTION")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  options->options.add_to(*command);
}

}  // namespace ckpt::coordinator
