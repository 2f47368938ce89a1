// ckpt-coord restart: a job again, from a generation, in the foreground.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "coordinator/commands/command.hpp"
#include "coordinator/commands/job_options.hpp"
#include "coordinator/control_client/control_client.hpp"
#include "coordinator/launch/foreground_job.hpp"
#include "format/image/generation_directory.hpp"
#include "format/image/generation_reader.hpp"

namespace ckpt::coordinator {
namespace {

struct RestartOptions {
  JobArgument job;
  JobOptionArguments options;
  std::uint64_t generation = 0;
  bool accept_changed_files = false;
};

struct Chosen {
  std::uint64_t number = 0;
  std::string path;
};

// The generation to start from; older ones when the newest are damaged, but
// never another one than the user named.
tl::expected<Chosen, int> choose(Context& context, const JobDirectory& directory,
                                 std::uint64_t wanted, image::VerifyDepth depth) {
  image::GenerationDirectory generations(context.files, directory.path());
  if (wanted != 0) {
    const std::string path = generations.path_of(wanted);
    auto reader = image::GenerationReader::open(path, context.files);
    if (!reader) {
      const bool missing = reader.error().code == ENOENT;
      return tl::unexpected(
          complain(missing ? Exit::no_generation : Exit::bad_image, reader.error()));
    }
    if (Status good = reader->verify(image::VerifyDepth::metadata); !good) {
      return tl::unexpected(complain(Exit::bad_image, good.error()));
    }
    return Chosen{wanted, path};
  }
  std::vector<image::SkippedGeneration> skipped;
  const auto newest = generations.newest_good(depth, &skipped);
  for (const image::SkippedGeneration& each : skipped) {
    std::fprintf(stderr, "ckpt-coord: generation %llu is passed over: %s\n",
                 static_cast<unsigned long long>(each.number), each.error.message().c_str());
  }
  if (!newest) {
    return tl::unexpected(
        complain(skipped.empty() ? Exit::no_generation : Exit::bad_image, newest.error()));
  }
  return Chosen{newest->number, newest->path};
}

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

tl::expected<std::vector<std::string>, int> launch_command(const Context& context,
                                                           const image::JobRecord& record,
                                                           const Layout& layout) {
  if (!context.has_tail || context.tail.empty()) return record.command;
  std::vector<std::string> options = context.tail;
  std::string program = !record.command.empty() && is_mpirun(record.command.front())
                            ? record.command.front()
                            : "mpirun";
  if (is_mpirun(options.front())) {
    program = options.front();
    options.erase(options.begin());
  }
  const auto asked = ranks_asked_for(options);
  if (asked && *asked != record.world_size) {
    return tl::unexpected(complain(
        Exit::wrong_size, "the generation has " + std::to_string(record.world_size) +
                              " ranks, and the options ask for " + std::to_string(*asked)));
  }
  std::vector<std::string> command = {program};
  command.insert(command.end(), options.begin(), options.end());
  if (!asked) {
    command.emplace_back("-n");
    command.push_back(std::to_string(record.world_size));
  }
  command.push_back(layout.restore_rank);
  return command;
}

// Starts the job from `chosen` and waits for its end: mpirun's status, or an Exit.
int run_from(Context& context, const RestartOptions& options, const JobDirectory& directory,
             const Layout& layout, const Chosen& chosen) {
  image::JobRecord record;
  {
    const auto reader = image::GenerationReader::open(chosen.path, context.files);
    if (!reader) return complain(Exit::bad_image, reader.error());
    record = reader->job();
  }
  const auto command = launch_command(context, record, layout);
  if (!command) return command.error();
  if (command->empty()) {
    return complain(Exit::bad_image, chosen.path + ": it names no command; give mpirun's options");
  }
  auto job = directory.read_job();
  if (!job) return complain(Exit::failed, job.error());
  if (record.job != job->name) {
    return complain(Exit::bad_image, "restart " + job->name + ": " + chosen.path +
                                         " is a generation of the job " + record.job);
  }
  if (job->world_size != 0 && record.world_size != job->world_size) {
    return complain(Exit::wrong_size, "restart " + job->name + ": " + chosen.path + " has " +
                                          std::to_string(record.world_size) +
                                          " ranks, and the job " + std::to_string(job->world_size));
  }
  job->command = record.command;
  job->environment = record.environment;
  job->cwd = record.cwd;
  job->world_size = record.world_size;
  job->restarted_from = chosen.number;
  job->started_at_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  options.options.apply(job->options);
  if (Status written = directory.write_job(*job); !written) {
    return complain(Exit::cannot_write, written.error());
  }
  std::fprintf(stderr, "ckpt-coord: restarting %s from generation %llu (%d ranks, taken %s)\n",
               directory.name().c_str(), static_cast<unsigned long long>(chosen.number),
               record.world_size, time_in_words(record.taken_at_ns).c_str());
  job->environment = restart_environment(record.environment, own_environment());
  ForegroundJob foreground(directory, std::move(*job), layout, *command,
                           RestartFrom{chosen.path, options.accept_changed_files});
  const auto status = foreground.run();
  if (!status) return complain(Exit::cannot_start, status.error());
  return *status;
}

// Pages are checked while they are read into the ranks, so a start does not wait
// for it. When a job failed, this tells whether that was why. (Where the file is
// gone the job went on long enough to replace it.)
Status pages_are_good(Context& context, const Chosen& chosen) {
  auto reader = image::GenerationReader::open(chosen.path, context.files);
  return reader ? reader->verify(image::VerifyDepth::payload) : Status();
}

int restart(Context& context, const RestartOptions& options) {
  const auto directory = options.job.open(context);
  if (!directory) return directory.error();
  const auto layout = find_layout();
  if (!layout) return complain(Exit::cannot_start, layout.error());
  const auto lock = directory->lock(JobDirectory::LockKind::run);
  if (!lock) {
    return complain(lock.error().code == EWOULDBLOCK ? Exit::running : Exit::cannot_write,
                    lock.error());
  }
  if (!coordinator_is_gone(*directory)) {
    return complain(Exit::running, "restart " + directory->name() + ": its coordinator still runs");
  }
  const auto chosen = choose(context, *directory, options.generation, image::VerifyDepth::metadata);
  if (!chosen) return chosen.error();
  const int status = run_from(context, options, *directory, *layout, *chosen);
  if (status == 0) return status;
  const Status good = pages_are_good(context, *chosen);
  if (good) return status;
  if (options.generation != 0) return complain(Exit::bad_image, good.error());
  const auto older = choose(context, *directory, 0, image::VerifyDepth::payload);
  if (!older) return older.error();
  return run_from(context, options, *directory, *layout, *older);
}

}  // namespace

void add_restart(CLI::App& app, Context& context) {
  auto options = std::make_shared<RestartOptions>();
  CLI::App* command = add_command(
      app, context, "restart", "continue a job from a generation: restart JOB [-- mpirun options]",
      [&context, options] { return restart(context, *options); });
  options->job.add_to(*command);
  command->add_option("--generation", options->generation, "which one [the newest good one]")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("--accept-changed-files", options->accept_changed_files,
                    "restart although libraries or programs are newer than the generation");
  options->options.add_to(*command);
}

}  // namespace ckpt::coordinator
