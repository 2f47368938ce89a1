// Cancelling requests and giving them up; attached buffers.
#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

namespace {

// Its lower request is still the lower half's business.
bool under_way(const Request& request) {
  return request.active && !request.complete &&
         (request.kind != RequestKind::send || request.epoch == current_epoch());
}

int free_lower(Request& request) {
  auto lower = static_cast<MPI_Request>(request.own.lower);
  return lower::Request_free(&lower);
}

}  // namespace

namespace calls {

int Cancel(MPI_Request* request) {
  Request* given = ckpt::shim::request(*request);
  if (!given) return raise_error(nullptr, MPI_ERR_REQUEST, "MPI_Cancel");
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Cancel");
    if (given->kind == RequestKind::collective) {
      error = MPI_ERR_REQUEST;
    } else if (under_way(*given)) {
      auto lower = static_cast<MPI_Request>(given->own.lower);
      error = lower::Cancel(&lower);
    }
  }
  return error == MPI_SUCCESS ? error : raise_error(given->comm->handle, error, "MPI_Cancel");
}

int Test_cancelled(const MPI_Status* status, int* flag) {
  *flag = status->_cancelled;
  return MPI_SUCCESS;
}

int Request_free(MPI_Request* request) {
  Request* given = ckpt::shim::request(*request);
  if (!given) return raise_error(nullptr, MPI_ERR_REQUEST, "MPI_Request_free");
  if (given->kind == RequestKind::collective)
    return raise_error(given->comm->handle, MPI_ERR_REQUEST, "MPI_Request_free");
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Request_free");
    sweep_freed();
    if (under_way(*given) && given->kind != RequestKind::send) {
      given->freed = true;  // it counts its message when it ends
    } else {
      if (given->persistent || under_way(*given)) error = free_lower(*given);
      drop_request(given);
    }
  }
  *request = null_request();
  return error == MPI_SUCCESS ? error : raise_error(nullptr, error, "MPI_Request_free");
}

int Buffer_attach(void* buffer, int size) {
  int error;
  {
    Door door("MPI_Buffer_attach");
    error = lower::Buffer_attach(buffer, size);
    if (error == MPI_SUCCESS) g_attached_buffer = {buffer, size};
  }
  return error == MPI_SUCCESS ? error : raise_error(nullptr, error, "MPI_Buffer_attach");
}

int Buffer_detach(void* buffer, int* size) {
  int error;
  {
    Door door("MPI_Buffer_detach");
    error = lower::Buffer_detach(buffer, size);
    if (error == MPI_SUCCESS) g_attached_buffer = {};
  }
  return error == MPI_SUCCESS ? error : raise_error(nullptr, error, "MPI_Buffer_detach");
}

}  // namespace calls
}  // namespace ckpt::shim
