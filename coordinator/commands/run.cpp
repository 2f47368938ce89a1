// ckpt-coord run: a new job in the foreground.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "coordinator/commands/command.hpp"
#include "coordinator/commands/job_options.hpp"
#include "coordinator/launch/foreground_job.hpp"
#include "format/image/generation_directory.hpp"

namespace ckpt::coordinator {
namespace {

struct RunOptions {
  JobArgument job;
  JobOptionArguments options;
};

Result<std::string> working_directory() {
  char* path = ::getcwd(nullptr, 0);
  if (path == nullptr) return fail_errno("getcwd", "");
  std::string text = path;
  std::free(path);
  return text;
}

int run(Context& context, const RunOptions& options) {
  if (context.tail.empty()) {
    return complain(Exit::usage, "run: give the command behind --, as in "
                                 "`ckpt-coord run --job sim42 -- mpirun -n 4 ./app`");
  }
  const auto path = options.job.path();
  if (!path) return complain(Exit::usage, path.error());
  const auto layout = find_layout();
  if (!layout) return complain(Exit::cannot_start, layout.error());
  const auto directory = JobDirectory::create(context.files, *path);
  if (!directory) return complain(Exit::cannot_write, directory.error());
  const auto lock = directory->lock(JobDirectory::LockKind::run);
  if (!lock) {
    return complain(lock.error().code == EWOULDBLOCK ? Exit::running : Exit::cannot_write,
                    lock.error());
  }
  const auto cwd = working_directory();
  if (!cwd) return complain(Exit::failed, cwd.error());
  JobDescription job;
  job.name = directory->name();
  job.command = context.tail;
  job.environment = own_environment();
  job.cwd = *cwd;
  job.started_at_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  options.options.apply(job.options);
  if (Status written = directory->write_job(job); !written) {
    return complain(Exit::cannot_write, written.error());
  }
  const auto generations =
      image::GenerationDirectory(context.files, directory->path()).list();
  if (generations && !generations->empty()) {
    std::fprintf(stderr,
                 "ckpt-coord: %s has generations of an earlier run, up to %llu: they stay until "
                 "newer ones replace them\n",
                 directory->path().c_str(),
                 static_cast<unsigned long long>(generations->back().number));
  }
  const std::vector<std::string> command = job.command;
  ForegroundJob foreground(*directory, std::move(job), *layout, command);
  const auto status = foreground.run();
  if (!status) return complain(Exit::cannot_start, status.error());
  return *status;
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      add_command(app, context, "run", "start a job that can be checkpointed: run --job NAME -- mpirun ...",
                  [&context, options] { return run(context, *options); });
  command->add_option("--job", options->job.job, "its name, or a directory")
      ->required()
      ->type_name("NAME");
  options->job.add_base_to(*command);
  options->options.add_to(*command);
}

}  // namespace ckpt::coordinator
