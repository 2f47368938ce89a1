#include "coordinator/launch/node_span.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "coordinator/launch/mpi_command.hpp"

namespace ckpt::coordinator {
namespace {

// "n1", "n1:4", "user@n1": is it this host, by its whole or its short name?
bool is_this_host(std::string_view host, std::string_view this_host) {
  host = host.substr(host.find('@') == std::string_view::npos ? 0 : host.find('@') + 1);
  host = host.substr(0, host.find_first_of(": \t"));
  const auto short_name = [](std::string_view name) { return name.substr(0, name.find('.')); };
  return host.empty() || host == "localhost" || host == "127.0.0.1" ||
         short_name(host) == short_name(this_host);
}

bool names_others(std::string_view hosts, const std::string& this_host) {
  while (!hosts.empty()) {
    const std::size_t end = hosts.find(',');
    if (!is_this_host(hosts.substr(0, end), this_host)) return true;
    hosts.remove_prefix(end == std::string_view::npos ? hosts.size() : end + 1);
  }
  return false;
}

bool is_more_than_one(const std::optional<std::string>& number) {
  return number && !number->empty() && *number != "0" && *number != "1";
}

}  // namespace

bool spans_nodes(const std::vector<std::string>& command,
                 const std::vector<std::string>& environment, const std::string& this_host) {
  constexpr std::array kHosts = {"-H", "-host", "--host"};
  // What a file lists is not read here: it was made because there are others.
  constexpr std::array kFiles = {"-hostfile",     "--hostfile",        "-machinefile",
                                 "--machinefile", "-default-hostfile", "--default-hostfile",
                                 "-rf",           "--rankfile"};
  for (std::size_t i = 0; i < command.size(); ++i) {
    if (std::find(kFiles.begin(), kFiles.end(), command[i]) != kFiles.end()) return true;
    const bool hosts = std::find(kHosts.begin(), kHosts.end(), command[i]) != kHosts.end();
    if (hosts && i + 1 < command.size() && names_others(command[i + 1], this_host)) return true;
  }
  for (const char* name : {"SLURM_JOB_NUM_NODES", "SLURM_NNODES", "PBS_NUM_NODES", "NHOSTS"}) {
    if (is_more_than_one(variable(environment, name))) return true;
  }
  return variable(environment, "OMPI_MCA_orte_default_hostfile").has_value();
}

}  // namespace ckpt::coordinator
