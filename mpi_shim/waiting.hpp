// Wait loops: they poll the lower half and leave it when the doors close.
//
// Threads: any; the door is the caller's. Errors: in the request.
#pragma once

#include "mpi_shim/doors.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

inline void wait_for(Door& door, Request& request) {
  while (!poll(request)) {
    if (door.must_leave()) door.step_aside();
  }
}

// Waits for a receive the lower half has posted (`lower`), as MPI_Recv does:
// counts its message and fills in `status`, which must not be ignored. The
// remaining arguments are the program's, to post it again after a restart.
int finish_receive(Door& door, MPI_Request lower, void* buffer, int count, MPI_Datatype type,
                   int source, int tag, MPI_Comm comm, MPI_Status* status);

}  // namespace ckpt::shim
