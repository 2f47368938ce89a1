#include "coordinator/batch_system/slurm_job.hpp"

#include <charconv>
#include <ctime>

#include "coordinator/launch/child_process.hpp"
#include "coordinator/launch/mpi_command.hpp"

namespace ckpt::coordinator {
namespace {

struct Resource {
  const char* variable;
  const char* option;
};
// THE table of what a restart asks for again.
constexpr Resource kResources[] = {
    {"SLURM_JOB_NAME", "--job-name"},
    {"SLURM_JOB_PARTITION", "--partition"},
    {"SLURM_JOB_ACCOUNT", "--account"},
    {"SLURM_JOB_QOS", "--qos"},
    {"SLURM_JOB_NUM_NODES", "--nodes"},
    {"SLURM_NTASKS", "--ntasks"},
    {"SLURM_NTASKS_PER_NODE", "--ntasks-per-node"},
    {"SLURM_CPUS_PER_TASK", "--cpus-per-task"},
    {"SLURM_MEM_PER_NODE", "--mem"},
    {"SLURM_MEM_PER_CPU", "--mem-per-cpu"},
    {"SLURM_JOB_RESERVATION", "--reservation"},
    {kTimeLimitVariable, "--time"},
};

}  // namespace

std::optional<SlurmJob> slurm_job_of(const std::vector<std::string>& environment) {
  const auto own = variable(environment, "SLURM_JOB_ID");
  if (!own || own->empty()) return std::nullopt;
  SlurmJob job;
  job.id = variable(environment, "SLURM_HET_JOB_ID").value_or(*own);
  job.name = job.id;
  const auto array = variable(environment, "SLURM_ARRAY_JOB_ID");
  const auto task = variable(environment, "SLURM_ARRAY_TASK_ID");
  if (array && task) job.name = *array + "_" + *task;
  // Unset in the first run.
  const std::string restarts = variable(environment, "SLURM_RESTART_COUNT").value_or("0");
  std::from_chars(restarts.data(), restarts.data() + restarts.size(), job.restarts);
  return job;
}

std::vector<std::string> sbatch_options(const std::vector<std::string>& saved,
                                        const std::string& cwd) {
  std::vector<std::string> options;
  for (const Resource& each : kResources) {
    const auto value = variable(saved, each.variable);
    if (value && !value->empty()) options.push_back(std::string(each.option) + "=" + *value);
  }
  if (!cwd.empty()) options.push_back("--chdir=" + cwd);
  options.emplace_back("--requeue");
  options.emplace_back("--open-mode=append");
  return options;
}

std::optional<std::string> slurm_field(std::string_view text, std::string_view name) {
  const std::string key = std::string(name) + "=";
  std::size_t at = 0;
  while ((at = text.find(key, at)) != std::string_view::npos) {
    if (at == 0 || text[at - 1] == ' ') {
      const std::size_t begin = at + key.size();
      return std::string(text.substr(begin, text.find_first_of(" \n", begin) - begin));
    }
    at += key.size();
  }
  return std::nullopt;
}

std::optional<std::int64_t> slurm_time(const std::string& text) {
  std::tm local{};
  local.tm_isdst = -1;
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &local);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return static_cast<std::int64_t>(std::mktime(&local));
}

Result<std::string> ask_slurm(const std::string& job_id, std::chrono::milliseconds patience) {
  return output_of({"scontrol", "--oneliner", "show", "job", job_id}, patience);
}

bool may_be_requeued(std::string_view text) {
  return slurm_field(text, "Requeue") == "1" && slurm_field(text, "BatchFlag").value_or("0") != "0";
}

bool is_preempted(std::string_view text) {
  const auto when = slurm_time(slurm_field(text, "PreemptTime").value_or(""));
  const auto start = slurm_time(slurm_field(text, "StartTime").value_or(""));
  return when && start && *when >= *start;
}

Status requeue(const std::string& job_id, std::chrono::milliseconds patience) {
  const auto done = output_of({"scontrol", "requeue", job_id}, patience);
  if (!done) return tl::unexpected(done.error());
  return {};
}

std::string shell_word(const std::string& word) {
  std::string quoted = "'";
  for (const char each : word) {
    if (each == '\'')
      quoted += "'\\''";
    else
      quoted += each;
  }
  return quoted + "'";
}

}  // namespace ckpt::coordinator
