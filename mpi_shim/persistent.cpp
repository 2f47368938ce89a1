// Persistent requests: made once, started many times, made again at a restart.
#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/logged_messages.hpp"
#include "mpi_shim/lower_persistent.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/private_comms.hpp"

namespace ckpt::shim {

// On a communicator that all have freed it can only be waited for or freed.
static int make_inert(Request& request) {
  const auto type = static_cast<MPI_Datatype>(request.datatype->handle->lower);
  MPI_Request lower;
  const int error = lower::Recv_init(nullptr, 0, type, 0, kNeverSentTag, g_private.self, &lower);
  if (error == MPI_SUCCESS) request.own.lower = lower;
  return error;
}

int make_lower_persistent(Request& request) {
  const auto type = static_cast<MPI_Datatype>(request.datatype->handle->lower);
  const auto comm = static_cast<MPI_Comm>(request.comm->handle->lower);
  if (request.comm->gone) return make_inert(request);
  using LowerInit = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);
  MPI_Request lower;
  int error;
  if (request.kind == RequestKind::receive) {
    error = lower::Recv_init(request.buffer, request.count, type, request.peer, request.tag, comm,
                             &lower);
  } else {
    LowerInit init = lower::Send_init;  // ready sends too: see MPI_Rsend
    if (request.mode == SendMode::synchronous) init = lower::Ssend_init;
    if (request.mode == SendMode::buffered) init = lower::Bsend_init;
    error = init(request.buffer, request.count, type, request.peer, request.tag, comm, &lower);
  }
  if (error == MPI_SUCCESS) request.own.lower = lower;
  return error;
}

namespace {

int make_persistent(RequestKind kind, SendMode mode, void* buffer, int count, MPI_Datatype type,
                    int peer, int tag, MPI_Comm comm, MPI_Request* handle, const char* function) {
  if (!communicator(comm)) return raise_error(nullptr, MPI_ERR_COMM, function);
  if (!datatype(type)) return raise_error(comm, MPI_ERR_TYPE, function);
  int error;
  {
    Door door(function);
    Request* made = new_request();
    describe(*made, kind, buffer, count, type, peer, tag, comm);
    made->mode = mode;
    error = make_lower_persistent(*made);
    if (error == MPI_SUCCESS) {
      made->persistent = true;
      link_persistent(*made);
      *handle = handle_of_request(made);
      return error;
    }
    drop_request(made);
  }
  return raise_error(comm, error, function);
}

int start(Door& door, Request& request) {
  if (request.kind == RequestKind::receive) {
    const auto comm = reinterpret_cast<MPI_Comm>(request.comm->handle);
    if (LoggedMessage* logged = take_logged(comm, request.peer, request.tag)) {
      request.status = {};
      request.error =
          deliver(door, logged, request.buffer, request.count,
                  reinterpret_cast<MPI_Datatype>(request.datatype->handle), &request.status);
      request.complete = true;
      request.active = true;
      return MPI_SUCCESS;
    }
  }
  auto lower = static_cast<MPI_Request>(request.own.lower);
  const int error = lower::Start(&lower);
  request.own.lower = lower;
  if (error != MPI_SUCCESS) return error;
  request.active = true;
  request.complete = false;
  request.epoch = current_epoch();
  if (request.kind == RequestKind::receive)
    link_pending(request);
  else
    count_sent(*request.comm, request.peer);
  return MPI_SUCCESS;
}

int start_all(int count, MPI_Request* requests, const char* function) {
  for (int i = 0; i < count; ++i) {
    Request* given = request(requests[i]);
    if (!given || !given->persistent || given->active)
      return raise_error(given && given->comm ? given->comm->handle : nullptr, MPI_ERR_REQUEST,
                         function);
    int error;
    {
      Door door(function);
      error = start(door, *given);
    }
    if (error != MPI_SUCCESS) return raise_error(given->comm->handle, error, function);
  }
  return MPI_SUCCESS;
}

}  // namespace

namespace calls {

int Send_init(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
              MPI_Request* request) {
  return make_persistent(RequestKind::send, SendMode::standard, const_cast<void*>(buf), count,
                         datatype, dest, tag, comm, request, "MPI_Send_init");
}
int Ssend_init(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
               MPI_Request* request) {
  return make_persistent(RequestKind::send, SendMode::synchronous, const_cast<void*>(buf), count,
                         datatype, dest, tag, comm, request, "MPI_Ssend_init");
}
int Bsend_init(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
               MPI_Request* request) {
  return make_persistent(RequestKind::send, SendMode::buffered, const_cast<void*>(buf), count,
                         datatype, dest, tag, comm, request, "MPI_Bsend_init");
}
int Rsend_init(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
               MPI_Request* request) {
  return make_persistent(RequestKind::send, SendMode::ready, const_cast<void*>(buf), count,
                         datatype, dest, tag, comm, request, "MPI_Rsend_init");
}
int Recv_init(void* buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
              MPI_Request* request) {
  return make_persistent(RequestKind::receive, SendMode::standard, buf, count, datatype, source,
                         tag, comm, request, "MPI_Recv_init");
}
int Start(MPI_Request* request) { return start_all(1, request, "MPI_Start"); }
int Startall(int count, MPI_Request array_of_requests[]) {
  return start_all(count, array_of_requests, "MPI_Startall");
}

}  // namespace calls
}  // namespace ckpt::shim
