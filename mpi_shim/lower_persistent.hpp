// Makes the lower half's persistent request of a Request (again).
#pragma once

#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

// From the request's description; sets own.lower. Inside a door, or with the
// doors closed. An MPI error code.
int make_lower_persistent(Request& request);

}  // namespace ckpt::shim
