// The user's mpirun line, and the variables that the ranks need besides.
//
// Purpose: puts variables into the ranks' environment, and theirs alone, so
//   that the user's line works as it stands.
//   - Normally through Open MPI's MCA parameter mca_base_env_list, in the
//     environment: the line is not touched, and the line may be a script.
//   - Open MPI refuses the parameter together with `-x`. A line that is mpirun
//     itself and has `-x` gets ours as further `-x NAME=VALUE`.
//   - A script that calls mpirun with `-x`: mpirun_stand_in.hpp.
//   - `--mca mca_base_env_list V` on the line overrides the environment: ours
//     are put behind V.
//   - `srun` starts the ranks itself: they go into its --export, which concerns
//     its tasks alone.
//   A user's own LD_PRELOAD, wherever it is set, stays behind the shim.
// Ownership: values. Threads: pure functions.
// Errors: a value that holds the list's delimiter cannot travel: Error.
// Source: tried with Open MPI 4.1.4 (tests/unit/coordinator/mpi_command_test.cpp
//   has the cases).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::coordinator {

using Variables = std::vector<std::pair<std::string, std::string>>;

struct LaunchLine {
  std::vector<std::string> arguments;    // [0] is looked up in PATH
  std::vector<std::string> environment;  // NAME=value
};

// The parts of a list; empty ones are left out.
std::vector<std::string> split(std::string_view text, char delimiter);

// mpirun, mpiexec, orterun under any path.
bool is_mpirun(const std::string& program);
// srun under any path.
bool is_srun(const std::string& program);

// Of this process.
std::vector<std::string> own_environment();
// Value of NAME in an environment; nullopt when it is not there.
std::optional<std::string> variable(const std::vector<std::string>& environment,
                                    std::string_view name);
void set_variable(std::vector<std::string>& environment, std::string_view name,
                  std::string_view value);
void unset_variable(std::vector<std::string>& environment, std::string_view name);

// `variables` must have LD_PRELOAD, with the shim's path as value.
Result<LaunchLine> inject(const std::vector<std::string>& command,
                          const std::vector<std::string>& environment, const Variables& variables);

// An mpirun line as it is, or, where it has `-x`, with the environment's
// mca_base_env_list made further `-x` options.
LaunchLine list_beside_x_options(LaunchLine line);

// The ranks an mpirun line asks for by -n, -np, --n, --np or -c, over all its
// application contexts; nullopt when one of them does not say.
std::optional<std::int64_t> ranks_asked_for(const std::vector<std::string>& options);

// The environment for a restart: what was saved, but what belongs to a session
// (batch system, ssh, X, terminal, CKPT_*) is of this one and not of the old
// one, and Open MPI's settings (OMPI_*) that are set now override saved ones.
std::vector<std::string> restart_environment(const std::vector<std::string>& saved,
                                             const std::vector<std::string>& current);

}  // namespace ckpt::coordinator
