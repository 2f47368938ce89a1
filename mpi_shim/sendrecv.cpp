// MPI_Sendrecv and MPI_Sendrecv_replace: a posted receive, a send, a wait.
#include <cstdlib>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/logged_messages.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/requests.hpp"
#include "mpi_shim/waiting.hpp"

namespace ckpt::shim {

namespace {

struct Outgoing {
  const void* buffer;
  int count;
  MPI_Datatype type;  // lower
  int destination;
  int tag;
};
struct Incoming {
  void* buffer;
  int count;
  MPI_Datatype type;  // of the program
  int source;
  int tag;
  MPI_Status* status;
};

int send_meanwhile(const Outgoing& out, MPI_Comm comm, MPI_Request* pending) {
  *pending = nullptr;
  const int error =
      g_thread_multiple
          ? lower::Isend(out.buffer, out.count, out.type, out.destination, out.tag, lower_of(comm),
                         pending)
          : lower::Send(out.buffer, out.count, out.type, out.destination, out.tag, lower_of(comm));
  if (error == MPI_SUCCESS) count_sent(*communicator(comm), out.destination);
  return error;
}

// Under MPI_THREAD_MULTIPLE the send is a request, too.
int finish_send(Door& door, MPI_Request pending) {
  if (!pending) return MPI_SUCCESS;
  Request waiting;
  waiting.own.lower = pending;
  waiting.epoch = current_epoch();
  wait_for(door, waiting);
  return waiting.error;
}

int exchange(Door& door, const Outgoing& out, const Incoming& in, MPI_Comm comm) {
  MPI_Request pending;
  if (LoggedMessage* logged = take_logged(comm, in.source, in.tag)) {
    // The buffers may be one (MPI_Sendrecv_replace sends a copy): send first.
    const int error = send_meanwhile(out, comm, &pending);
    const int received = deliver(door, logged, in.buffer, in.count, in.type, in.status);
    const int sent = error == MPI_SUCCESS ? finish_send(door, pending) : error;
    return sent == MPI_SUCCESS ? received : sent;
  }
  MPI_Request receive;
  int error = lower::Irecv(in.buffer, in.count, lower_of(in.type), in.source, in.tag,
                           lower_of(comm), &receive);
  if (error != MPI_SUCCESS) return error;
  const std::uint32_t epoch = current_epoch();
  error = send_meanwhile(out, comm, &pending);
  if (error != MPI_SUCCESS) {
    lower::Cancel(&receive);
    lower::Wait(&receive, MPI_STATUS_IGNORE);
    return error;
  }
  MPI_Status own = {};
  error =
      finish_receive(door, receive, in.buffer, in.count, in.type, in.source, in.tag, comm, &own);
  if (in.status != MPI_STATUS_IGNORE) *in.status = own;
  // A restart since then has ended the send.
  const int sent = epoch == current_epoch() ? finish_send(door, pending) : MPI_SUCCESS;
  return sent == MPI_SUCCESS ? error : sent;
}

}  // namespace

namespace calls {

int Sendrecv(const void* sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag,
             void* recvbuf, int recvcount, MPI_Datatype recvtype, int source, int recvtag,
             MPI_Comm comm, MPI_Status* status) {
  int error;
  {
    Door door("MPI_Sendrecv");
    error = exchange(door, {sendbuf, sendcount, lower_of(sendtype), dest, sendtag},
                     {recvbuf, recvcount, recvtype, source, recvtag, status}, comm);
  }
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Sendrecv");
}

int Sendrecv_replace(void* buf, int count, MPI_Datatype type, int dest, int sendtag, int source,
                     int recvtag, MPI_Comm comm, MPI_Status* status) {
  int error;
  void* packed = nullptr;
  {
    Door door("MPI_Sendrecv_replace");
    int size = 0;
    int position = 0;
    error = lower::Pack_size(count, lower_of(type), lower_of(comm), &size);
    if (error == MPI_SUCCESS && !(packed = std::malloc(static_cast<std::size_t>(size) + 1)))
      error = MPI_ERR_NO_MEM;
    if (error == MPI_SUCCESS)
      error = lower::Pack(buf, count, lower_of(type), packed, size, &position, lower_of(comm));
    if (error == MPI_SUCCESS)
      error = exchange(
          door,
          {packed, position, static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_PACKED)),
           dest, sendtag},
          {buf, count, type, source, recvtag, status}, comm);
  }
  std::free(packed);
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Sendrecv_replace");
}

}  // namespace calls
}  // namespace ckpt::shim
