// ckpt-coord prune: removes old generations.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.hpp"
#include "format/image/generation_directory.hpp"

namespace ckpt::coordinator {
namespace {

using nlohmann::json;

struct PruneOptions {
  JobArgument job;
  std::uint64_t keep = 0;
  bool as_json = false;
};

int prune(Context& context, const PruneOptions& options) {
  const auto directory = options.job.open(context);
  if (!directory) return directory.error();
  // A running coordinator prunes by itself, and two at once must not.
  const auto lock = directory->lock(JobDirectory::LockKind::coordinator);
  if (!lock) {
    if (lock.error().code != EWOULDBLOCK) return complain(Exit::failed, lock.error());
    return complain(Exit::running, "prune " + directory->name() +
                                       ": the job runs, and its coordinator keeps what `run` or "
                                       "`restart` was told to");
  }
  std::uint64_t keep = options.keep;
  if (keep == 0) {
    const auto job = directory->read_job();
    if (!job) return complain(Exit::failed, job.error());
    keep = job->options.keep;
  }
  const auto removed = image::GenerationDirectory(context.files, directory->path()).prune(keep);
  if (!removed) return complain(Exit::failed, removed.error());
  if (options.as_json) {
    std::printf("%s\n", json{{"removed", *removed}}.dump().c_str());
    return 0;
  }
  for (const std::uint64_t number : *removed) {
    std::printf("generation %llu removed\n", static_cast<unsigned long long>(number));
  }
  return 0;
}

}  // namespace

void add_prune(CLI::App& app, Context& context) {
  auto options = std::make_shared<PruneOptions>();
  CLI::App* command =
      add_command(app, context, "prune", "remove old generations, never the newest good one",
                  [&context, options] { return prune(context, *options); });
  options->job.add_to(*command);
  command->add_option("--keep", options->keep, "generations to keep [as the job was started with]")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", options->as_json, "print JSON");
}

}  // namespace ckpt::coordinator
