// ckpt-coord list: the generations of a job, or the jobs.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.hpp"
#include "format/image/generation_directory.hpp"

namespace ckpt::coordinator {
namespace {

using nlohmann::json;

struct ListOptions {
  JobArgument job;
  bool as_json = false;
};

const char* state_text(image::GenerationState state) {
  switch (state) {
    case image::GenerationState::good: return "good";
    case image::GenerationState::failed: return "failed";
    case image::GenerationState::damaged: return "damaged";
    case image::GenerationState::partial: return "partial";
  }
  return "?";
}

int list_jobs(Context& context, const ListOptions& options) {
  const std::string base = options.job.base.empty() ? default_base_directory() : options.job.base;
  json all = json::array();
  const auto names = context.files.list_directory(base);
  if (!names && names.error().code != ENOENT) return complain(Exit::failed, names.error());
  for (const std::string& name : names ? *names : std::vector<std::string>()) {
    const auto directory = JobDirectory::open(context.files, base + "/" + name);
    if (!directory) continue;  // something else lies there
    const auto generations = image::GenerationDirectory(context.files, directory->path()).list();
    const std::uint64_t newest =
        generations && !generations->empty() ? generations->back().number : 0;
    const bool running = directory->is_locked(JobDirectory::LockKind::run);
    all.push_back({{"job", name},
                   {"directory", directory->path()},
                   {"running", running},
                   {"generations", generations ? generations->size() : 0},
                   {"newest", newest}});
  }
  if (options.as_json) {
    std::printf("%s\n", all.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return 0;
  }
  for (const json& each : all) {
    std::printf("%-24s %-8s %llu generations, newest %llu\n",
                each.at("job").get<std::string>().c_str(),
                each.at("running").get<bool>() ? "running" : "stopped",
                each.at("generations").get<unsigned long long>(),
                each.at("newest").get<unsigned long long>());
  }
  return 0;
}

int list(Context& context, const ListOptions& options) {
  if (options.job.job.empty()) return list_jobs(context, options);
  const auto directory = options.job.open(context);
  if (!directory) return directory.error();
  const auto all = image::GenerationDirectory(context.files, directory->path()).list();
  if (!all) return complain(Exit::failed, all.error());
  if (options.as_json) {
    json value = json::array();
    for (const image::GenerationEntry& each : *all) {
      value.push_back({{"generation", each.number},
                       {"state", state_text(each.state)},
                       {"cause", each.cause},
                       {"bytes", each.size},
                       {"taken_at_ns", each.taken_at_ns},
                       {"world_size", each.world_size},
                       {"path", each.path}});
    }
    std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return 0;
  }
  for (const image::GenerationEntry& each : *all) {
    std::printf("%6llu  %-8s %4d ranks  %10s  %s%s%s\n",
                static_cast<unsigned long long>(each.number), state_text(each.state),
                each.world_size, in_words(each.size).c_str(),
                time_in_words(each.taken_at_ns).c_str(), each.cause.empty() ? "" : "  ",
                each.cause.c_str());
  }
  return 0;
}

}  // namespace

void add_list(CLI::App& app, Context& context) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command =
      add_command(app, context, "list", "the generations of a job; without one, the jobs",
                  [&context, options] { return list(context, *options); });
  command->add_option("job", options->job.job, "name or directory of the job")->type_name("");
  options->job.add_base_to(*command);
  command->add_flag("--json", options->as_json, "print JSON");
}

}  // namespace ckpt::coordinator
