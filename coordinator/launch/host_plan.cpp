#include "coordinator/launch/host_plan.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <sstream>

#include "coordinator/launch/mpi_command.hpp"
#include "format/posix/try.hpp"

namespace ckpt::coordinator {
namespace {

constexpr std::array kHostOptions = {"--host", "-host", "-H"};
constexpr std::array kFileOptions = {"--hostfile",   "-hostfile",          "--machinefile",
                                     "-machinefile", "--default-hostfile", "-default-hostfile"};
constexpr std::array kRankFileOptions = {"--rankfile", "-rankfile", "-rf"};

template <std::size_t N>
bool is_one_of(const std::string& word, const std::array<const char*, N>& names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

struct Host {
  std::string name, slots;  // slots: ":4", or "" as the user wrote none
};

Host parse_host(std::string_view text) {
  const std::size_t at = text.find(':');
  if (at == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, at)), std::string(text.substr(at))};
}

// Spares are handed out once each, over all parts of a line.
class Spares {
 public:
  Spares(const std::vector<std::string>& spares, const std::set<std::string>& failed) {
    for (const std::string& each : spares) {
      if (!contains(failed, parse_host(each).name)) left_.push_back(parse_host(each));
    }
  }
  static bool contains(const std::set<std::string>& names, std::string_view name) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& each) { return same_host(each, name); });
  }
  bool take(Host& host) {
    if (left_.empty()) return false;
    host = left_.front();
    left_.erase(left_.begin());
    return true;
  }
  // One that the line names already is in use.
  void in_use(std::string_view name) {
    std::erase_if(left_, [&](const Host& each) { return same_host(each.name, name); });
  }

 private:
  std::vector<Host> left_;
};

struct Change {
  std::vector<std::string> notes;
  bool fewer = false;  // slots than before
  std::size_t left = 0;
};

// The host to have in `host`'s place; false: none.
bool replaced(Host& host, const std::set<std::string>& failed, Spares& spares, Change& change) {
  if (!Spares::contains(failed, host.name)) {
    ++change.left;
    return true;
  }
  Host spare;
  if (!spares.take(spare)) {
    change.notes.push_back("without " + host.name);
    change.fewer = true;
    return false;
  }
  change.notes.push_back(spare.name + " for " + host.name);
  if (spare.slots.empty()) spare.slots = host.slots;
  host = spare;
  ++change.left;
  return true;
}

std::string rewrite_list(const std::string& list, const std::set<std::string>& failed,
                         Spares& spares, Change& change) {
  std::string out;
  for (const std::string& each : split(list, ',')) {
    Host host = parse_host(each);
    if (!replaced(host, failed, spares, change)) continue;
    out += (out.empty() ? "" : ",") + host.name + host.slots;
  }
  return out;
}

// Lines "NAME slots=4 max-slots=8 # why"; what is no host stays as it is.
std::string rewrite_file(const std::string& text, const std::set<std::string>& failed,
                         Spares& spares, Change& change) {
  std::string out;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') {
      out += line + "\n";
      continue;
    }
    const std::size_t end = std::min(line.find_first_of(" \t#", first), line.size());
    Host host{line.substr(first, end - first), ""};
    if (!replaced(host, failed, spares, change)) continue;
    const std::string slots = host.slots.empty() ? "" : " slots=" + host.slots.substr(1);
    out += host.name + (slots.empty() ? line.substr(end) : slots) + "\n";
  }
  return out;
}

void users_hosts(const std::vector<std::string>& command, Spares& spares) {
  for (std::size_t i = 0; i + 1 < command.size(); ++i) {
    if (!is_one_of(command[i], kHostOptions)) continue;
    for (const std::string& each : split(command[i + 1], ',')) {
      spares.in_use(parse_host(each).name);
    }
  }
}

// The line names no hosts: those of the batch system's allocation.
std::string slurm_hosts(const HostRequest& request, Spares& spares, Change& change) {
  const auto list = variable(request.environment, "SLURM_JOB_NODELIST");
  if (!list) return "";
  const auto names = expand_node_list(*list);
  auto counts = expand_counts(
      variable(request.environment, "SLURM_TASKS_PER_NODE")
          .value_or(variable(request.environment, "SLURM_JOB_CPUS_PER_NODE").value_or("")));
  for (const std::string& name : names) spares.in_use(name);
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Host host{names[i], i < counts.size() ? ":" + std::to_string(counts[i]) : ""};
    if (!replaced(host, request.failed, spares, change)) continue;
    out += (out.empty() ? "" : ",") + host.name + host.slots;
  }
  return out;
}

// A line without -n starts one rank a slot. A doubled -n does no harm: a program's
// own "-n 100" may look like mpirun's.
void name_ranks(std::vector<std::string>& command, std::int64_t ranks) {
  const bool contexts = std::find(command.begin(), command.end(), ":") != command.end();
  if (ranks <= 0 || contexts || ranks_asked_for(command) == ranks) return;
  command.insert(command.begin() + 1, {"-n", std::to_string(ranks)});
}

}  // namespace

bool same_host(std::string_view a, std::string_view b) {
  if (a == b) return true;
  if (a.size() > b.size()) std::swap(a, b);
  return a.find('.') == std::string_view::npos && b.size() > a.size() && b[a.size()] == '.' &&
         b.substr(0, a.size()) == a;
}

std::vector<std::string> expand_node_list(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    std::size_t end = 0;
    for (int depth = 0; end < list.size() && (depth > 0 || list[end] != ','); ++end) {
      depth += list[end] == '[' ? 1 : list[end] == ']' ? -1 : 0;
    }
    const std::string_view item = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const std::size_t open = item.find('['), close = item.find(']');
    if (open == std::string_view::npos || close == std::string_view::npos) {
      if (!item.empty()) names.emplace_back(item);
      continue;
    }
    for (const std::string& range : split(item.substr(open + 1, close - open - 1), ',')) {
      const std::size_t dash = range.find('-');
      const std::string first = range.substr(0, dash);
      const std::string last = dash == std::string::npos ? first : range.substr(dash + 1);
      unsigned from = 0, to = 0;
      std::from_chars(first.data(), first.data() + first.size(), from);
      std::from_chars(last.data(), last.data() + last.size(), to);
      for (unsigned number = from; number <= to; ++number) {
        std::string digits = std::to_string(number);
        if (digits.size() < first.size()) digits.insert(0, first.size() - digits.size(), '0');
        names.push_back(std::string(item.substr(0, open)) + digits +
                        std::string(item.substr(close + 1)));
      }
    }
  }
  return names;
}

std::vector<int> expand_counts(std::string_view list) {
  std::vector<int> counts;
  for (const std::string& each : split(list, ',')) {
    int count = 0, times = 1;
    const auto* last = each.data() + each.size();
    const auto [end, error] = std::from_chars(each.data(), last, count);
    if (error != std::errc()) return {};
    if (last - end > 3 && end[0] == '(' && end[1] == 'x') std::from_chars(end + 2, last, times);
    counts.insert(counts.end(), static_cast<std::size_t>(std::max(times, 0)), count);
  }
  return counts;
}

Result<HostPlan> avoid_hosts(const HostRequest& request,
                             const std::function<Result<std::string>(const std::string&)>& read) {
  HostPlan plan{request.command, "", ""};
  const auto as_it_is = [&](const std::string& why) { return HostPlan{request.command, "", why}; };
  if (request.failed.empty()) return plan;
  if (request.command.empty() || !is_mpirun(request.command.front())) {
    return as_it_is("the command is not mpirun itself: it is not told to avoid a node");
  }
  Spares spares(request.spares, request.failed);
  users_hosts(request.command, spares);
  Change change;
  bool named = false;
  for (std::size_t i = 0; i + 1 < plan.command.size(); ++i) {
    if (is_one_of(plan.command[i], kHostOptions)) {
      named = true;
      plan.command[i + 1] = rewrite_list(plan.command[i + 1], request.failed, spares, change);
      if (plan.command[i + 1].empty()) {
        return as_it_is("no node would be left for a part of the command: all are tried again");
      }
    } else if (is_one_of(plan.command[i], kRankFileOptions)) {
      return as_it_is("a rankfile says where ranks are: it is not told to avoid a node");
    } else if (is_one_of(plan.command[i], kFileOptions)) {
      named = true;
      const std::string text = CKPT_TRY(read(plan.command[i + 1]));
      plan.hostfile = rewrite_file(text, request.failed, spares, change);
      plan.command[i + 1] = request.new_hostfile;
    }
  }
  if (!named) {
    const std::string hosts = slurm_hosts(request, spares, change);
    if (!hosts.empty()) plan.command.insert(plan.command.begin() + 1, {"--host", hosts});
  }
  if (change.notes.empty()) return as_it_is("");
  if (change.left == 0) return as_it_is("no node would be left: all are tried again");
  name_ranks(plan.command, request.ranks);
  const bool told =
      std::find(plan.command.begin(), plan.command.end(), "--oversubscribe") != plan.command.end();
  if (change.fewer && !told) plan.command.insert(plan.command.begin() + 1, "--oversubscribe");
  for (const std::string& note : change.notes) {
    plan.text += (plan.text.empty() ? "nodes: " : ", ") + note;
  }
  return plan;
}

}  // namespace ckpt::coordinator
