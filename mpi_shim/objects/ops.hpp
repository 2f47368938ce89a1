// User-defined operations: how the lower half calls the program's function.
#pragma once

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// Makes the op's lower handle (its trampoline is chosen); inside a door.
int build_lower(Op& op);

}  // namespace ckpt::shim
