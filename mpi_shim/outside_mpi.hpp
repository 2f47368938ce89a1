// Calls before MPI_Init and after MPI_Finalize.
//
// Purpose: ends the process as Open MPI does, with the function's name.
// Threads: any. Errors: does not return.
// Source: Open MPI 4.1, ompi/errhandler/errhandler.c.
#pragma once

namespace ckpt::shim {

[[noreturn]] void called_outside_mpi(const char* function);

}  // namespace ckpt::shim
