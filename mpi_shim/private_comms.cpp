#include "mpi_shim/private_comms.hpp"

#include "lower_calls.hpp"
#include "mpi_shim/completion_watch.hpp"

namespace ckpt::shim {

PrivateComms g_private;

int make_private_comms() {
  const auto world = static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD));
  const auto self = static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_SELF));
  const auto returns = static_cast<MPI_Errhandler>(lower_predefined(CKPT_HANDLE_MPI_ERRORS_RETURN));
  int error = lower::Comm_dup(world, &g_private.world);
  if (error == MPI_SUCCESS) error = lower::Comm_set_errhandler(g_private.world, returns);
  if (error == MPI_SUCCESS) error = lower::Comm_dup(self, &g_private.self);
  if (error == MPI_SUCCESS) error = lower::Comm_set_errhandler(g_private.self, returns);
  if (error == MPI_SUCCESS) find_completion_word();
  return error;
}

}  // namespace ckpt::shim
