// Info objects: key and value lists that live in the upper half alone.
#pragma once

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// nullptr for MPI_INFO_NULL and what is no info object.
InfoEntries* info_entries(MPI_Info info);
MPI_Info new_info(InfoEntries entries);

// Fills MPI_INFO_ENV from the lower half.
void init_info_env();

}  // namespace ckpt::shim
