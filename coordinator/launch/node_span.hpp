// Whether a job's ranks will be on other nodes than this one.
//
// Purpose: to know, before mpirun has started, whether the coordinator must be
//   reached from elsewhere. A script that calls mpirun says nothing; then the
//   coordinator finds out later (coordinator/server: ranks are missing here).
// Ownership: values. Threads: pure function. Errors: none.
// Source: mpirun(1) of Open MPI 4.1, "Specifying Host Nodes".
#pragma once

#include <string>
#include <vector>

namespace ckpt::coordinator {

// By the hosts an mpirun line names, and what a batch system and Open MPI have set.
bool spans_nodes(const std::vector<std::string>& command,
                 const std::vector<std::string>& environment, const std::string& this_host);

}  // namespace ckpt::coordinator
