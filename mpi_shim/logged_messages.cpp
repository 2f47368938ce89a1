#include "mpi_shim/logged_messages.hpp"

#include <atomic>

#include "lower_calls.hpp"
#include "mpi_shim/lower_bytes.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/private_comms.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

volatile std::uint64_t g_logged_messages = 0;
std::uint64_t g_logged_bytes = 0;

namespace {

HeldMessage* g_first_held = nullptr;
LoggedMessage* g_first_arriving = nullptr;
std::atomic<unsigned> g_delivery{0};

constexpr unsigned kDeliveryTags = kNeverSentTag;

void forget(LoggedMessage* message) {
  {
    RequestsLock lock;
    g_logged_messages = g_logged_messages - 1;
    g_logged_bytes -= message->size;
  }
  if (message->comm) release(message->comm);
  discard(message);
}

// The lower half sends the packed bytes to itself: to the posted receive.
int send_to_self(const LoggedMessage& message, void* buffer, int count, MPI_Datatype type,
                 MPI_Status* status) {
  const int tag = static_cast<int>(g_delivery.fetch_add(1) % kDeliveryTags);
  MPI_Request receive;
  int error = lower::Irecv(buffer, count, lower_of(type), 0, tag, g_private.self, &receive);
  if (error != MPI_SUCCESS) return error;
  LowerBytes bytes(message.size);
  error = lower::Send(message.bytes, bytes.count, bytes.type, 0, tag, g_private.self);
  int received = 0;
  while (error == MPI_SUCCESS && !received) error = lower::Test(&receive, &received, status);
  return error;
}

}  // namespace

HeldMessage* hold_message(Communicator& comm, MPI_Message lower, LoggedMessage* logged,
                          const MPI_Status& status) {
  auto* held = new HeldMessage;
  held->own.kind = HandleKind::message;
  held->own.state = held;
  held->own.lower = lower;
  held->comm = &comm;
  held->logged = logged;
  held->source = status.MPI_SOURCE;
  held->tag = status.MPI_TAG;
  held->size = status._ucount;
  retain(held->comm);
  RequestsLock lock;
  held->next = g_first_held;
  if (g_first_held) g_first_held->previous = held;
  g_first_held = held;
  return held;
}

void drop_held(HeldMessage* message) {
  {
    RequestsLock lock;
    (message->previous ? message->previous->next : g_first_held) = message->next;
    if (message->next) message->next->previous = message->previous;
  }
  forget_fortran(&message->own);
  release(message->comm);
  delete message;
}

HeldMessage* first_held() { return g_first_held; }

LoggedMessage* take_logged(Communicator& comm, int source, int tag) {
  RequestsLock lock;
  LoggedMessage* found = comm.log ? find(*comm.log, source, tag) : nullptr;
  if (found) take(*comm.log, found);
  return found;
}

void describe_logged(const LoggedMessage& message, MPI_Status* status) {
  if (status == MPI_STATUS_IGNORE) return;
  status->MPI_SOURCE = message.source;
  status->MPI_TAG = message.tag;
  status->_cancelled = 0;
  status->_ucount = message.size;
}

bool probe_logged(Communicator& comm, int source, int tag, MPI_Status* status) {
  RequestsLock lock;
  const LoggedMessage* found = comm.log ? find(*comm.log, source, tag) : nullptr;
  if (found) describe_logged(*found, status);
  return found != nullptr;
}

int deliver(Door& door, LoggedMessage* message, void* buffer, int count, MPI_Datatype type,
            MPI_Status* status) {
  while (message->arriving) {
    poll_arriving();
    if (message->arriving && door.must_leave()) door.step_aside();
  }
  MPI_Status received = {};
  int error = send_to_self(*message, buffer, count, type, &received);
  const std::size_t size = received._ucount;
  // Open MPI's transport to oneself cuts a message short without saying so.
  if (error == MPI_SUCCESS && size < message->size) error = MPI_ERR_TRUNCATE;
  describe_logged(*message, status);
  if (status != MPI_STATUS_IGNORE) status->_ucount = size;
  forget(message);
  return error;
}

void add_logged(Communicator& comm, LoggedMessage* message) {
  if (!comm.log) comm.log = new ChannelLog;
  append(*comm.log, message);
}

void add_arriving(LoggedMessage* message) {
  RequestsLock lock;
  message->next_arriving = g_first_arriving;
  g_first_arriving = message;
  g_logged_messages = g_logged_messages + 1;
  g_logged_bytes += message->size;
}

bool poll_arriving() {
  RequestsLock lock;
  LoggedMessage** link = &g_first_arriving;
  while (LoggedMessage* message = *link) {
    auto lower = static_cast<MPI_Request>(message->arriving);
    int ended = 0;
    const int error = lower::Test(&lower, &ended, MPI_STATUS_IGNORE);
    if (!ended && error == MPI_SUCCESS) {
      link = &message->next_arriving;
      continue;
    }
    message->arriving = nullptr;
    count_received(*message->comm, message->source);
    *link = message->next_arriving;
  }
  return g_first_arriving == nullptr;
}

}  // namespace ckpt::shim
