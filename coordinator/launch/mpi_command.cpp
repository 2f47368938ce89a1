#include "coordinator/launch/mpi_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "format/posix/file_system.hpp"
#include "format/posix/whole_number.hpp"

namespace ckpt::coordinator {
namespace {

constexpr std::string_view kEnvList = "mca_base_env_list";
constexpr std::string_view kEnvListVariable = "OMPI_MCA_mca_base_env_list";
constexpr std::string_view kDelimiterVariable = "OMPI_MCA_mca_base_env_list_delimiter";
constexpr std::string_view kPreload = "LD_PRELOAD";

bool names(std::string_view assignment, std::string_view name) {
  return assignment.substr(0, assignment.find('=')) == name;
}

// A set "NAME=value" or, where the value is the environment's, a bare "NAME".
std::string value_of(std::string_view assignment, const std::vector<std::string>& environment) {
  const std::size_t at = assignment.find('=');
  if (at != std::string_view::npos) return std::string(assignment.substr(at + 1));
  return variable(environment, assignment).value_or("");
}

char list_delimiter(const std::vector<std::string>& environment) {
  const std::string set = variable(environment, kDelimiterVariable).value_or("");
  return set.empty() ? ';' : set.front();
}

bool has_x(const std::vector<std::string>& command) {
  return std::find(command.begin(), command.end(), "-x") != command.end();
}

// The user's list with ours behind it, and the two LD_PRELOADs made one.
Result<std::string> merged_list(std::string_view users, char delimiter,
                                const std::vector<std::string>& environment,
                                const Variables& ours) {
  std::string list;
  const auto add = [&](const std::string& each) {
    if (!list.empty()) list += delimiter;
    list += each;
  };
  std::optional<std::string> preload = variable(environment, kPreload);
  for (const std::string& each : split(users, delimiter)) {
    if (names(each, kPreload)) {
      preload = value_of(each, environment);
    } else {
      add(each);
    }
  }
  for (const auto& [name, value] : ours) {
    std::string assignment = name + "=" + value;
    if (name == kPreload && preload && !preload->empty()) assignment.append(":").append(*preload);
    if (assignment.find(delimiter) != std::string::npos) {
      std::string cause = "it holds the delimiter of Open MPI's mca_base_env_list: ";
      cause.push_back(delimiter);
      return fail("pass " + name + " to the ranks", assignment, std::move(cause), EINVAL);
    }
    add(assignment);
  }
  return list;
}

// Ours as `-x NAME=VALUE`, in each application context (they are parted by ":").
std::vector<std::string> with_x_options(const std::vector<std::string>& command,
                                        const std::vector<std::string>& environment,
                                        const Variables& ours) {
  std::optional<std::string> preload = variable(environment, kPreload);
  std::vector<std::string> users;
  for (std::size_t i = 0; i < command.size(); ++i) {
    if (command[i] == "-x" && i + 1 < command.size() && names(command[i + 1], kPreload)) {
      preload = value_of(command[++i], environment);
    } else {
      users.push_back(command[i]);
    }
  }
  std::vector<std::string> line;
  for (std::size_t i = 0; i < users.size(); ++i) {
    line.push_back(users[i]);
    if (i != 0 && users[i] != ":") continue;
    for (const auto& [name, value] : ours) {
      line.emplace_back("-x");
      line.push_back(name + "=" + value);
      if (name == kPreload && preload && !preload->empty())
        line.back().append(":").append(*preload);
    }
  }
  return line;
}

// srun takes "ALL,A=1,B=2". A list of the user's stays, NONE becomes ours alone.
Result<std::string> export_list(const std::string& users,
                                const std::vector<std::string>& environment,
                                const Variables& ours) {
  std::string list = users == "NONE" ? "" : users;
  std::optional<std::string> preload = variable(environment, kPreload);
  for (const std::string& each : split(users, ',')) {
    if (names(each, kPreload)) preload = value_of(each, environment);
  }
  for (const auto& [name, value] : ours) {
    std::string assignment = name + "=" + value;
    if (name == kPreload && preload && !preload->empty()) assignment.append(":").append(*preload);
    if (assignment.find(',') != std::string::npos) {
      return fail("pass " + name + " to the ranks", assignment,
                  "it holds a comma, which parts the entries of srun --export", EINVAL);
    }
    list += (list.empty() ? "" : ",") + assignment;
  }
  return list;
}

// Where the program begins, as far as one can tell without srun's list of
// options: a word that neither is one nor can be the value of the one before it.
std::size_t end_of_options(const std::vector<std::string>& line) {
  bool may_be_value = false;
  for (std::size_t i = 1; i < line.size(); ++i) {
    const bool option = !line[i].empty() && line[i].front() == '-';
    if (!option && !may_be_value) return i;
    may_be_value = option && line[i].find('=') == std::string::npos;
  }
  return line.size();
}

Result<std::vector<std::string>> with_export(const std::vector<std::string>& command,
                                             const std::vector<std::string>& environment,
                                             const Variables& ours) {
  constexpr std::string_view kOption = "--export";
  std::vector<std::string> line = command;
  const std::size_t end = end_of_options(line);
  for (std::size_t i = 1; i < end; ++i) {
    const bool apart = line[i] == kOption && i + 1 < line.size();
    if (!apart && line[i].rfind("--export=", 0) != 0) continue;
    const std::string users = apart ? line[i + 1] : line[i].substr(kOption.size() + 1);
    auto list = export_list(users, environment, ours);
    if (!list) return tl::unexpected(list.error());
    (apart ? line[i + 1] : line[i]) = apart ? *list : "--export=" + *list;
    return line;
  }
  std::string users = "ALL";
  for (const char* name : {"SLURM_EXPORT_ENV", "SRUN_EXPORT_ENV"}) {
    users = variable(environment, name).value_or(users);
  }
  auto list = export_list(users, environment, ours);
  if (!list) return tl::unexpected(list.error());
  line.insert(line.begin() + 1, "--export=" + *list);
  return line;
}

}  // namespace

bool is_srun(const std::string& program) { return base_name_of(program) == "srun"; }

std::vector<std::string> split(std::string_view text, char delimiter) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t at = text.find(delimiter);
    if (at != 0) parts.emplace_back(text.substr(0, at));
    text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  }
  return parts;
}

bool is_mpirun(const std::string& program) {
  constexpr std::array kNames = {"mpirun", "mpiexec", "orterun", "mpirun.openmpi",
                                 "mpiexec.openmpi"};
  const std::string name = base_name_of(program);
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::vector<std::string> own_environment() {
  std::vector<std::string> all;
  for (char** each = environ; *each != nullptr; ++each) all.emplace_back(*each);
  return all;
}

std::optional<std::string> variable(const std::vector<std::string>& environment,
                                    std::string_view name) {
  for (const std::string& each : environment) {
    if (names(each, name) && each.size() > name.size()) return each.substr(name.size() + 1);
  }
  return std::nullopt;
}

void unset_variable(std::vector<std::string>& environment, std::string_view name) {
  std::erase_if(environment, [name](const std::string& each) { return names(each, name); });
}

void set_variable(std::vector<std::string>& environment, std::string_view name,
                  std::string_view value) {
  unset_variable(environment, name);
  environment.push_back(std::string(name) + "=" + std::string(value));
}

Result<LaunchLine> inject(const std::vector<std::string>& command,
                          const std::vector<std::string>& environment, const Variables& variables) {
  LaunchLine line{command, environment};
  // What an outer ckpt-coord left would reach the ranks of this node.
  for (const char* name : {"CKPT_RESTART_IMAGE", "CKPT_JOB_DIR", "CKPT_AGENT_SOCKET"}) {
    unset_variable(line.environment, name);
  }
  // Under Slurm mpirun may be a name for `ckpt-coord run -- mpirun` (slurm/): once is enough.
  set_variable(line.environment, "CKPT_INSIDE_RUN", "1");
  if (is_srun(command.front())) {
    auto arguments = with_export(command, environment, variables);
    if (!arguments) return tl::unexpected(arguments.error());
    line.arguments = std::move(*arguments);
    return line;
  }
  const char delimiter = list_delimiter(environment);
  const bool direct = is_mpirun(command.front());
  const auto option = direct ? std::find(line.arguments.begin(), line.arguments.end(), kEnvList)
                             : line.arguments.end();
  if (option != line.arguments.end() && option + 1 != line.arguments.end()) {
    auto list = merged_list(*(option + 1), delimiter, environment, variables);
    if (!list) return tl::unexpected(list.error());
    *(option + 1) = *list;
    return line;
  }
  const auto users = variable(environment, kEnvListVariable);
  if (direct && has_x(command) && !users) {
    line.arguments = with_x_options(command, environment, variables);
    return line;
  }
  auto list = merged_list(users.value_or(""), delimiter, environment, variables);
  if (!list) return tl::unexpected(list.error());
  set_variable(line.environment, kEnvListVariable, *list);
  return line;
}

LaunchLine list_beside_x_options(LaunchLine line) {
  const auto list = variable(line.environment, kEnvListVariable);
  if (!list || !has_x(line.arguments)) return line;
  Variables listed;
  for (const std::string& each : split(*list, list_delimiter(line.environment))) {
    listed.emplace_back(each.substr(0, each.find('=')), value_of(each, line.environment));
  }
  line.arguments = with_x_options(line.arguments, line.environment, listed);
  unset_variable(line.environment, kEnvListVariable);
  return line;
}

std::optional<std::int64_t> ranks_asked_for(const std::vector<std::string>& options) {
  constexpr std::array kNames = {"-n", "-np", "--n", "--np", "-c"};
  std::int64_t total = 0;
  bool context_says = false;
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i] == ":") {
      if (!context_says) return std::nullopt;
      context_says = false;
    }
    if (std::find(kNames.begin(), kNames.end(), options[i]) == kNames.end()) continue;
    if (i + 1 == options.size()) return std::nullopt;
    std::int64_t count = 0;
    if (!whole_number(options[++i], count)) return std::nullopt;
    total += count;
    context_says = true;
  }
  if (!context_says) return std::nullopt;
  return total;
}

std::vector<std::string> restart_environment(const std::vector<std::string>& saved,
                                             const std::vector<std::string>& current) {
  constexpr std::array<std::string_view, 17> kOfTheSession = {
      "PMIX_", "PMI_", "SLURM_",  "SLURMD_", "SBATCH_", "SRUN_",    "PBS_",    "LSB_", "SGE_",
      "XDG_",  "SSH_", "DISPLAY", "TMPDIR",  "TERM",    "HOSTNAME", "KRB5CCN", "CKPT_"};
  const auto of_the_session = [&](const std::string& each) {
    return std::any_of(kOfTheSession.begin(), kOfTheSession.end(), [&](std::string_view prefix) {
      return std::string_view(each).substr(0, prefix.size()) == prefix;
    });
  };
  std::vector<std::string> merged;
  std::copy_if(saved.begin(), saved.end(), std::back_inserter(merged),
               [&](const std::string& each) { return !of_the_session(each); });
  for (const std::string& each : current) {
    const std::size_t at = each.find('=');
    if (at == std::string::npos) continue;
    const bool openmpi = each.rfind("OMPI_", 0) == 0;
    if (openmpi || of_the_session(each))
      set_variable(merged, each.substr(0, at), each.substr(at + 1));
  }
  return merged;
}

}  // namespace ckpt::coordinator
