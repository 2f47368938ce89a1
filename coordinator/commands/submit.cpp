// A restart through sbatch: the same resources again, and `restart --here` in them.
#include <cstdio>
#include <filesystem>

#include "coordinator/commands/restart.hpp"
#include "coordinator/launch/child_process.hpp"
#include "coordinator/launch/layout.hpp"
#include "coordinator/launch/mpi_command.hpp"

namespace ckpt::coordinator {
namespace {

constexpr std::chrono::milliseconds kPatience{60'000};

std::string script(const Context& context, const RestartOptions& options,
                   const JobDirectory& directory, const Layout& layout) {
  std::vector<std::string> words = {layout.program, "restart", directory.path(), "--here"};
  if (options.generation != 0) {
    words.insert(words.end(), {"--generation", std::to_string(options.generation)});
  }
  if (!options.image.empty()) {
    std::error_code error;  // opened before: it is there
    words.insert(words.end(),
                 {"--image", std::filesystem::absolute(options.image, error).string()});
  }
  if (options.accept_changed_files) words.emplace_back("--accept-changed-files");
  const std::vector<std::string> more = options.options.words();
  words.insert(words.end(), more.begin(), more.end());
  if (context.has_tail) {
    words.emplace_back("--");
    words.insert(words.end(), context.tail.begin(), context.tail.end());
  }
  std::string text = "#!/bin/sh\nexec";
  for (const std::string& each : words) text += " " + shell_word(each);
  return text + "\n";
}

}  // namespace

std::optional<int> submit_elsewhere(Context& context, const RestartOptions& options,
                                    const JobDirectory& directory) {
  if (options.here || slurm_job_of(own_environment())) return std::nullopt;
  const auto job = directory.read_job();
  if (!job) return complain(Exit::failed, job.error());
  if (!slurm_job_of(job->environment)) return std::nullopt;
  if (directory.is_locked(JobDirectory::LockKind::run)) {
    return complain(Exit::running, "restart " + directory.name() + ": it runs");
  }
  const auto layout = find_layout();
  if (!layout) return complain(Exit::cannot_start, layout.error());
  std::vector<std::string> line = {"sbatch"};
  const std::vector<std::string> resources = sbatch_options(job->environment, job->cwd);
  line.insert(line.end(), resources.begin(), resources.end());
  line.insert(line.end(), options.sbatch.begin(), options.sbatch.end());
  const auto said = output_of(line, kPatience, script(context, options, directory, *layout));
  if (!said) {
    return complain(Exit::cannot_start,
                    said.error().message() + " (restart --here would start it on this node)");
  }
  std::printf("%s\n", said->c_str());
  return static_cast<int>(Exit::ok);
}

void keep_time_limit(const SlurmJob& job, std::vector<std::string>& environment) {
  const auto text = ask_slurm(job.id, std::chrono::milliseconds(10'000));
  if (!text) {
    std::fprintf(stderr, "ckpt-coord: the time limit is not known: %s\n",
                 text.error().message().c_str());
    return;
  }
  const std::string limit = slurm_field(*text, "TimeLimit").value_or("");
  // "Partition_Limit" and the like: sbatch asks for the same by not asking.
  if (limit.find_first_not_of("0123456789-:") != std::string::npos) return;
  set_variable(environment, kTimeLimitVariable, limit);
}

}  // namespace ckpt::coordinator
