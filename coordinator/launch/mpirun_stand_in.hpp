// What ckpt-coord is when it is called by mpirun's name.
//
// Purpose: a script under `ckpt-coord run` may call `mpirun -x NAME ...`, which
//   Open MPI refuses together with the list of variables that `run` put into the
//   environment. So `run` puts a folder of links named mpirun, mpiexec, ... in
//   front of a script's PATH; each is this program, which turns the list into
//   further `-x` and becomes the real mpirun, the next one in PATH.
// Ownership: the process becomes another. Threads: one.
// Errors: as a shell: 127 when there is no mpirun, 126 when it cannot be executed.
// Source: coordinator/launch/mpi_command.hpp; execve(2).
#pragma once

#include <string>
#include <vector>

namespace ckpt::coordinator {

// The first executable file NAME in `path` that is not `except` (device and
// inode); "" when there is none.
std::string find_in_path(const std::string& name, const std::string& path,
                         const std::string& except);

// `path` without the folder in which `name` is the file `except`.
std::string path_without(const std::string& path, const std::string& name,
                         const std::string& except);

// argv[0] is an mpirun's name. Returns only when it fails.
int stand_in_for_mpirun(const std::vector<std::string>& arguments);

}  // namespace ckpt::coordinator
