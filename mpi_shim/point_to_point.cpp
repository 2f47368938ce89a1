// Sends and receives, blocking and nonblocking.
//
// Blocking sends go straight to the lower half's when one thread calls MPI at a
// time: what they wait for comes without any program's doing, since each rank's
// shim drains with closed doors. Receives (and sends under
// MPI_THREAD_MULTIPLE, where another thread may be what a peer waits for) are
// nonblocking ones and a loop that leaves when the doors close.
#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/completion_watch.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/logged_messages.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/requests.hpp"
#include "mpi_shim/waiting.hpp"

namespace ckpt::shim {

namespace {

using LowerSend = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm);
using LowerIsend = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);

// Under MPI_THREAD_MULTIPLE: leaves when the doors close.
template <LowerIsend isend>
[[gnu::noinline]] int send_and_wait(Door& door, const void* buffer, int count, MPI_Datatype type,
                                    int destination, int tag, MPI_Comm comm) {
  MPI_Request lower;
  const int error = isend(buffer, count, lower_of(type), destination, tag, lower_of(comm), &lower);
  if (error != MPI_SUCCESS) return error;
  count_sent(*communicator(comm), destination);
  Request waiting;
  waiting.own.lower = lower;
  waiting.epoch = current_epoch();
  wait_for(door, waiting);
  return waiting.error;
}

// The way of most messages: short, and inline where the name is known.
template <LowerSend send, LowerIsend isend>
[[gnu::always_inline]] inline int blocking_send(const void* buffer, int count, MPI_Datatype type,
                                                int destination, int tag, MPI_Comm comm,
                                                const char* function) {
  int error;
  {
    Door door(function);
    if (g_thread_multiple) [[unlikely]] {
      error = send_and_wait<isend>(door, buffer, count, type, destination, tag, comm);
    } else {
      error = send(buffer, count, lower_of(type), destination, tag, lower_of(comm));
      if (error == MPI_SUCCESS) [[likely]]
        count_sent(*communicator(comm), destination);
    }
  }
  if (error == MPI_SUCCESS) [[likely]]
    return error;
  return raise_error(comm, error, function);
}

template <LowerIsend isend>
inline int nonblocking_send(const void* buffer, int count, MPI_Datatype type, int destination,
                            int tag, MPI_Comm comm, MPI_Request* handle, const char* function) {
  int error;
  {
    Door door(function);
    MPI_Request lower;
    error = isend(buffer, count, lower_of(type), destination, tag, lower_of(comm), &lower);
    if (error == MPI_SUCCESS) [[likely]] {
      Communicator& state = *communicator(comm);
      count_sent(state, destination);
      Request* made = new_request();
      made->kind = RequestKind::send;
      made->own.lower = lower;
      made->epoch = current_epoch();
      made->active = true;
      made->comm = &state;
      retain(&state);
      *handle = handle_of_request(made);
      return error;
    }
  }
  return raise_error(comm, error, function);
}

// The rest of a blocking receive that the lower half has posted.
[[gnu::noinline]] int finish_slowly(Door& door, MPI_Request lower, void* buffer, int count,
                                    MPI_Datatype type, int source, int tag, MPI_Comm comm,
                                    MPI_Status* status) {
  Request waiting;
  describe(waiting, RequestKind::receive, buffer, count, type, source, tag, comm);
  waiting.own.lower = lower;
  waiting.active = true;
  link_pending(waiting);
  wait_for(door, waiting);
  *status = waiting.status;
  release(waiting.datatype);
  release(waiting.comm);
  return waiting.error;
}

[[gnu::always_inline]] inline int finish_posted(Door& door, MPI_Request lower, void* buffer,
                                                int count, MPI_Datatype type, int source, int tag,
                                                MPI_Comm comm, MPI_Status* status) {
  for (;;) {
    if (can_watch()) {
      while (!seen_ended(lower) && !door.must_leave()) g_completion.progress();
    }
    int ended = 0;
    const int error = lower::Test(&lower, &ended, status);
    if (ended || error != MPI_SUCCESS) {
      if (!status->_cancelled) count_received(*communicator(comm), status->MPI_SOURCE);
      return error;
    }
    if (door.must_leave()) [[unlikely]]
      return finish_slowly(door, lower, buffer, count, type, source, tag, comm, status);
  }
}

}  // namespace

int finish_receive(Door& door, MPI_Request lower, void* buffer, int count, MPI_Datatype type,
                   int source, int tag, MPI_Comm comm, MPI_Status* status) {
  return finish_posted(door, lower, buffer, count, type, source, tag, comm, status);
}

namespace calls {

int Send(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm) {
  return blocking_send<lower::Send, lower::Isend>(buf, count, datatype, dest, tag, comm,
                                                  "MPI_Send");
}
int Ssend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm) {
  return blocking_send<lower::Ssend, lower::Issend>(buf, count, datatype, dest, tag, comm,
                                                    "MPI_Ssend");
}
int Rsend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm) {
  // The receive may be one that found its message in a channel log meanwhile
  // or is posted anew after a restart: as a standard send it is always right.
  return blocking_send<lower::Send, lower::Isend>(buf, count, datatype, dest, tag, comm,
                                                  "MPI_Rsend");
}
int Bsend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm) {
  return blocking_send<lower::Bsend, lower::Ibsend>(buf, count, datatype, dest, tag, comm,
                                                    "MPI_Bsend");
}
int Isend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
          MPI_Request* request) {
  return nonblocking_send<lower::Isend>(buf, count, datatype, dest, tag, comm, request,
                                        "MPI_Isend");
}
int Issend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
           MPI_Request* request) {
  return nonblocking_send<lower::Issend>(buf, count, datatype, dest, tag, comm, request,
                                         "MPI_Issend");
}
int Irsend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
           MPI_Request* request) {
  return nonblocking_send<lower::Isend>(buf, count, datatype, dest, tag, comm, request,
                                        "MPI_Irsend");
}
int Ibsend(const void* buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
           MPI_Request* request) {
  return nonblocking_send<lower::Ibsend>(buf, count, datatype, dest, tag, comm, request,
                                         "MPI_Ibsend");
}

int Recv(void* buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
         MPI_Status* status) {
  int error;
  {
    Door door("MPI_Recv");
    if (LoggedMessage* logged = take_logged(comm, source, tag)) [[unlikely]] {
      error = deliver(door, logged, buf, count, datatype, status);
    } else {
      MPI_Request lower;
      error = lower::Irecv(buf, count, lower_of(datatype), source, tag, lower_of(comm), &lower);
      if (error == MPI_SUCCESS) [[likely]] {
        MPI_Status own;
        own._cancelled = 0;
        own.MPI_SOURCE = MPI_PROC_NULL;
        error = finish_posted(door, lower, buf, count, datatype, source, tag, comm, &own);
        if (status != MPI_STATUS_IGNORE) *status = own;
      }
    }
  }
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Recv");
}

int Irecv(void* buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
          MPI_Request* request) {
  int error;
  {
    Door door("MPI_Irecv");
    Request* made = new_request();
    if (LoggedMessage* logged = take_logged(comm, source, tag)) [[unlikely]] {
      made->status = {};
      made->error = deliver(door, logged, buf, count, datatype, &made->status);
      describe(*made, RequestKind::receive, buf, count, datatype, source, tag, comm);
      made->complete = true;
      made->active = true;
      *request = handle_of_request(made);
      return MPI_SUCCESS;
    }
    MPI_Request lower;
    error = lower::Irecv(buf, count, lower_of(datatype), source, tag, lower_of(comm), &lower);
    if (error == MPI_SUCCESS) [[likely]] {
      describe(*made, RequestKind::receive, buf, count, datatype, source, tag, comm);
      made->own.lower = lower;
      made->active = true;
      link_pending(*made);
      *request = handle_of_request(made);
      return error;
    }
    drop_request(made);
  }
  return raise_error(comm, error, "MPI_Irecv");
}

}  // namespace calls
}  // namespace ckpt::shim
