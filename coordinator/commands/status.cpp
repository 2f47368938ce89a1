// ckpt-coord status: what a job is doing.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.hpp"
#include "coordinator/control_client/control_client.hpp"
#include "format/image/generation_directory.hpp"

namespace ckpt::coordinator {
namespace {

using nlohmann::json;

struct StatusOptions {
  JobArgument job;
  bool as_json = false;
};

Result<json> ask(const JobDirectory& directory) {
  auto client = ControlClient::connect(directory);
  if (!client) return tl::unexpected(client.error());
  if (Status sent = client->send(wire::StatusRequest{}); !sent) return tl::unexpected(sent.error());
  auto answer = client->receive(10'000);
  if (!answer) return tl::unexpected(answer.error());
  const auto* status = std::get_if<wire::JobStatus>(&*answer);
  json value = status != nullptr ? json::parse(status->json, nullptr, false) : json();
  if (!value.is_object()) return fail("status", directory.name(), "the answer makes no sense");
  return value;
}

// The newest generation that can be used, from the files: true however the job is.
void add_newest(Context& context, const JobDirectory& directory, json& status) {
  const auto all = image::GenerationDirectory(context.files, directory.path()).list();
  if (!all) return;
  for (auto each = all->rbegin(); each != all->rend(); ++each) {
    if (each->state != image::GenerationState::good) continue;
    status["newest"] = {{"generation", each->number},
                        {"taken_at_ns", each->taken_at_ns},
                        {"bytes", each->size},
                        {"path", each->path}};
    return;
  }
}

void print(const json& status) {
  const bool running = status.at("running");
  std::printf("job          %s\n", status.at("job").get<std::string>().c_str());
  std::printf("directory    %s\n", status.at("directory").get<std::string>().c_str());
  std::printf("running      %s\n", running ? "yes" : "no");
  const bool served = status.at("coordinator");
  if (running && !served) {
    std::printf("coordinator  none answers: no checkpoints until `run` has started a new one\n");
  }
  if (served) {
    std::printf("ranks        %zu of %d\n", status.at("ranks_present").get<std::size_t>(),
                status.at("world_size").get<int>());
    std::printf("state        %s", status.at("state").get<std::string>().c_str());
    if (status.contains("waits_for")) {
      std::printf(" (generation %llu, %s)", status.at("generation").get<unsigned long long>(),
                  status.at("waits_for").get<std::string>().c_str());
    }
    std::printf("\n");
    if (status.contains("blocked_by")) {
      std::printf("not ready    %s\n", status.at("blocked_by").get<std::string>().c_str());
    }
    if (status.contains("next_in_s")) {
      std::printf("every        %s, next in %s\n",
                  seconds_in_words(status.at("interval_s").get<double>()).c_str(),
                  seconds_in_words(status.at("next_in_s").get<double>()).c_str());
    }
    if (status.contains("interval_why") && status.at("every") == "auto") {
      std::printf("because      %s\n", status.at("interval_why").get<std::string>().c_str());
    }
    for (const json& agent : status.at("agents")) {
      std::printf("agent        %s, pid %d", agent.at("node").get<std::string>().c_str(),
                  agent.at("pid").get<int>());
      if (agent.at("suspected").get<bool>()) {
        std::printf(", not heard for %s",
                    seconds_in_words(agent.at("silent_s").get<double>()).c_str());
      }
      std::printf("\n");
    }
    for (const json& gone : status.at("gone_nodes")) {
      std::printf("gone         %s: %s\n", gone.at("node").get<std::string>().c_str(),
                  gone.at("reason").get<std::string>().c_str());
    }
  }
  if (status.contains("last") && !status.at("last").at("committed").get<bool>()) {
    std::printf("last failed  generation %llu: %s\n",
                status.at("last").at("generation").get<unsigned long long>(),
                status.at("last").at("reason").get<std::string>().c_str());
  }
  if (status.contains("newest")) {
    const json& newest = status.at("newest");
    std::printf("newest good  generation %llu, %s, %s\n",
                newest.at("generation").get<unsigned long long>(),
                in_words(newest.at("bytes").get<std::uint64_t>()).c_str(),
                time_in_words(newest.at("taken_at_ns").get<std::int64_t>()).c_str());
  } else {
    std::printf("newest good  none\n");
  }
}

int status(Context& context, const StatusOptions& options) {
  const auto directory = options.job.open(context);
  if (!directory) return directory.error();
  json value;
  auto answer = ask(*directory);
  const bool served = answer.has_value();
  if (served) {
    value = std::move(*answer);
  } else {
    if (answer.error().code != ECONNREFUSED) return complain(Exit::failed, answer.error());
    const auto job = directory->read_job();
    if (!job) return complain(Exit::failed, job.error());
    value = {{"job", directory->name()},
             {"directory", directory->path()},
             {"world_size", job->world_size}};
  }
  // `run` holds its lock as long as the job runs, whatever becomes of the coordinator.
  const bool running = served || directory->is_locked(JobDirectory::LockKind::run);
  value["running"] = running;
  value["coordinator"] = served;
  add_newest(context, *directory, value);
  if (options.as_json) {
    std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    print(value);
  }
  return static_cast<int>(served ? Exit::ok : Exit::not_running);
}

}  // namespace

void add_status(CLI::App& app, Context& context) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* command = add_command(app, context, "status", "what a job is doing",
                                  [&context, options] { return status(context, *options); });
  options->job.add_to(*command);
  command->add_flag("--json", options->as_json, "print JSON");
}

}  // namespace ckpt::coordinator
