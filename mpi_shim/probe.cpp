// Probes, matched probes and matched receives.
#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/logged_messages.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/requests.hpp"
#include "mpi_shim/waiting.hpp"

namespace ckpt::shim {

namespace {

int probe_once(int source, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  if (anything_logged()) {
    Communicator* state = communicator(comm);
    if (state && probe_logged(*state, source, tag, status)) {
      *flag = 1;
      return MPI_SUCCESS;
    }
  }
  return lower::Iprobe(source, tag, lower_of(comm), flag, status);
}

MPI_Message null_message() { return predefined<MPI_Message>(CKPT_HANDLE_MPI_MESSAGE_NULL); }
MPI_Message message_of_nobody() { return predefined<MPI_Message>(CKPT_HANDLE_MPI_MESSAGE_NO_PROC); }

int matched_probe_once(int source, int tag, MPI_Comm comm, int* flag, MPI_Message* message,
                       MPI_Status* status) {
  MPI_Status own = {};
  if (LoggedMessage* logged = take_logged(comm, source, tag)) {
    describe_logged(*logged, &own);
    *message = reinterpret_cast<MPI_Message>(
        &hold_message(*communicator(comm), nullptr, logged, own)->own);
    *flag = 1;
  } else {
    MPI_Message lower;
    const int error = lower::Improbe(source, tag, lower_of(comm), flag, &lower, &own);
    if (error != MPI_SUCCESS || !*flag) return error;
    if (own.MPI_SOURCE == MPI_PROC_NULL)
      *message = message_of_nobody();
    else
      *message = reinterpret_cast<MPI_Message>(
          &hold_message(*communicator(comm), lower, nullptr, own)->own);
  }
  if (status != MPI_STATUS_IGNORE) {
    own.MPI_ERROR = status->MPI_ERROR;
    *status = own;
  }
  return MPI_SUCCESS;
}

void set_no_process(MPI_Status* status) {
  if (status == MPI_STATUS_IGNORE) return;
  set_empty(status);
  status->MPI_SOURCE = MPI_PROC_NULL;
}

}  // namespace

namespace calls {

int Iprobe(int source, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  int error;
  {
    Door door("MPI_Iprobe");
    error = probe_once(source, tag, comm, flag, status);
  }
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Iprobe");
}

int Probe(int source, int tag, MPI_Comm comm, MPI_Status* status) {
  int error;
  {
    Door door("MPI_Probe");
    int found = 0;
    for (;;) {
      error = probe_once(source, tag, comm, &found, status);
      if (found || error != MPI_SUCCESS) break;
      if (door.must_leave()) door.step_aside();
    }
  }
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Probe");
}

int Improbe(int source, int tag, MPI_Comm comm, int* flag, MPI_Message* message,
            MPI_Status* status) {
  int error;
  {
    Door door("MPI_Improbe");
    *flag = 0;
    error = matched_probe_once(source, tag, comm, flag, message, status);
    if (!*flag) *message = null_message();
  }
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Improbe");
}

int Mprobe(int source, int tag, MPI_Comm comm, MPI_Message* message, MPI_Status* status) {
  int error;
  {
    Door door("MPI_Mprobe");
    int found = 0;
    for (;;) {
      error = matched_probe_once(source, tag, comm, &found, message, status);
      if (found || error != MPI_SUCCESS) break;
      if (door.must_leave()) door.step_aside();
    }
  }
  return error == MPI_SUCCESS ? error : raise_error(comm, error, "MPI_Mprobe");
}

int Mrecv(void* buf, int count, MPI_Datatype type, MPI_Message* message, MPI_Status* status) {
  MPI_Request receive;
  const int error = Imrecv(buf, count, type, message, &receive);
  if (error != MPI_SUCCESS) return error;
  return Wait(&receive, status);
}

int Imrecv(void* buf, int count, MPI_Datatype type, MPI_Message* message, MPI_Request* request) {
  if (*message == null_message() || *message == nullptr)
    return raise_error(nullptr, MPI_ERR_REQUEST, "MPI_Imrecv");
  if (*message == message_of_nobody()) {
    Request* made = new_request();
    made->kind = RequestKind::matched_receive;
    made->complete = made->active = true;
    made->status = {};
    set_no_process(&made->status);
    *message = null_message();
    *request = handle_of_request(made);
    return MPI_SUCCESS;
  }
  HeldMessage* held = held_message(*message);
  const auto comm = reinterpret_cast<MPI_Comm>(held->comm->handle);
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Imrecv");
    Request* made = new_request();
    if (held->logged) {
      made->error = deliver(door, held->logged, buf, count, type, &made->status);
      describe(*made, RequestKind::matched_receive, buf, count, type, held->source, held->tag,
               comm);
      made->complete = true;
    } else {
      auto lower_message = static_cast<MPI_Message>(held->own.lower);
      MPI_Request lower;
      error = lower::Imrecv(buf, count, lower_of(type), &lower_message, &lower);
      if (error == MPI_SUCCESS) {
        describe(*made, RequestKind::matched_receive, buf, count, type, held->source, held->tag,
                 comm);
        made->own.lower = lower;
        link_pending(*made);
      }
    }
    if (error == MPI_SUCCESS) {
      made->active = true;
      drop_held(held);
      *message = null_message();
      *request = handle_of_request(made);
      return error;
    }
    drop_request(made);
  }
  return raise_error(comm, error, "MPI_Imrecv");
}

}  // namespace calls
}  // namespace ckpt::shim
