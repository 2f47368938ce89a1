// An mpirun line without the nodes that failed, with spare ones in their place.
//
// Purpose: a restart by --max-restarts must not start ranks on a node that has
//   just gone. Rewritten are --host (-H, -host), --hostfile (--machinefile) and,
//   where the line names no hosts, the nodes of a Slurm allocation. A failed
//   node's place is taken by a spare one, with as many slots; where none is left
//   its ranks move together with others (--oversubscribe), and are as many as they
//   were although there are fewer slots (-n).
// Ownership: values. Threads: pure, but for `read` (the hostfile).
// Errors: a hostfile that cannot be read. A plan that leaves no node at all is
//   not made: the line stays as it is, and `text` says so.
// Source: mpirun(1) of Open MPI 4.1; SLURM_JOB_NODELIST as in scontrol(1).
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::coordinator {

struct HostPlan {
  std::vector<std::string> command;
  std::string hostfile;  // content for the file `command` names instead of the user's; "": none
  std::string text;      // what was done, for people; "": nothing
};

struct HostRequest {
  std::vector<std::string> command, environment;
  std::set<std::string> failed;
  std::vector<std::string> spares;  // "node7" or "node7:4", in order of preference
  std::string new_hostfile;         // path for `hostfile`
  std::int64_t ranks = 0;           // the job's; 0: not known
};

Result<HostPlan> avoid_hosts(const HostRequest& request,
                             const std::function<Result<std::string>(const std::string&)>& read);

// "n1" is "n1.cluster"; "n1.a" is not "n1.b".
bool same_host(std::string_view a, std::string_view b);
// "n[1-3,07],gpu2": n1 n2 n3 n07 gpu2.
std::vector<std::string> expand_node_list(std::string_view list);
// "4(x2),2" for three nodes: 4 4 2.
std::vector<int> expand_counts(std::string_view list);

}  // namespace ckpt::coordinator
