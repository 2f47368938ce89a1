#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/requests.hpp"
#include "mpi_shim/waiting.hpp"

namespace ckpt::shim {

int counted_barrier(Communicator& comm, const char* function) {
  Request waiting;
  waiting.kind = RequestKind::collective;
  waiting.comm = &comm;
  {
    CollectiveDoor door(comm, function);
    MPI_Request lower;
    const int error = lower::Ibarrier(static_cast<MPI_Comm>(comm.handle->lower), &lower);
    if (error != MPI_SUCCESS) return error;
    waiting.own.lower = lower;
    waiting.active = true;
    link_pending(waiting);
  }
  // The clock counts it as done: from here on the drain may complete it.
  Door door(function);
  wait_for(door, waiting);
  return waiting.error;
}

}  // namespace ckpt::shim
