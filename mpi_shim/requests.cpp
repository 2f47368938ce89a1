#include "mpi_shim/requests.hpp"

#include <pthread.h>

#include "lower_calls.hpp"
#include "mpi_shim/completion_watch.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/lower_persistent.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/private_comms.hpp"

namespace ckpt::shim {

namespace {

constexpr int kChunk = 128;

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
Request* g_free = nullptr;
Request* g_first_pending = nullptr;
Request* g_last_pending = nullptr;
Request* g_first_persistent = nullptr;

void add_chunk() {
  auto* chunk = new Request[kChunk];
  for (int i = 0; i < kChunk; ++i) {
    chunk[i].own.kind = HandleKind::request;
    chunk[i].own.state = &chunk[i];
    chunk[i].next = g_free;
    g_free = &chunk[i];
  }
}

bool is_receive(const Request& request) {
  return request.kind == RequestKind::receive || request.kind == RequestKind::matched_receive;
}

MPI_Status empty_status() {
  MPI_Status status = {};
  status.MPI_SOURCE = MPI_ANY_SOURCE;
  status.MPI_TAG = MPI_ANY_TAG;
  return status;
}

}  // namespace

RequestsLock::RequestsLock() {
  if (g_thread_multiple) pthread_mutex_lock(&g_mutex);
}
RequestsLock::~RequestsLock() {
  if (g_thread_multiple) pthread_mutex_unlock(&g_mutex);
}

Request* new_request() {
  RequestsLock lock;
  if (!g_free) add_chunk();
  Request* taken = g_free;
  g_free = taken->next;
  return taken;
}

void drop_request(Request* request) {
  if (request->persistent) unlink_persistent(*request);
  if (request->datatype) release(request->datatype);
  if (request->comm) release(request->comm);
  forget_fortran(&request->own);
  request->datatype = nullptr;
  request->comm = nullptr;
  request->persistent = request->active = request->complete = request->freed = false;
  request->error = MPI_SUCCESS;
  RequestsLock lock;
  request->next = g_free;
  g_free = request;
}

void describe(Request& request, RequestKind kind, void* buffer, int count, MPI_Datatype type,
              int peer, int tag, MPI_Comm comm) {
  request.kind = kind;
  request.buffer = buffer;
  request.count = count;
  request.peer = peer;
  request.tag = tag;
  request.datatype = datatype(type);
  request.comm = communicator(comm);
  retain(request.datatype);
  retain(request.comm);
}

MPI_Request adopt_collective(MPI_Request lower, Communicator& comm) {
  Request* made = new_request();
  made->kind = RequestKind::collective;
  made->own.lower = lower;
  made->comm = &comm;
  retain(made->comm);
  made->active = true;
  link_pending(*made);
  return handle_of_request(made);
}

void link_pending(Request& request) {
  RequestsLock lock;
  request.next = nullptr;
  request.previous = g_last_pending;
  (g_last_pending ? g_last_pending->next : g_first_pending) = &request;
  g_last_pending = &request;
  request.linked = true;
}

void unlink_pending(Request& request) {
  if (!request.linked) return;
  RequestsLock lock;
  (request.previous ? request.previous->next : g_first_pending) = request.next;
  (request.next ? request.next->previous : g_last_pending) = request.previous;
  request.linked = false;
}

Request* first_pending() { return g_first_pending; }

void link_persistent(Request& request) {
  RequestsLock lock;
  request.previous_persistent = nullptr;
  request.next_persistent = g_first_persistent;
  if (g_first_persistent) g_first_persistent->previous_persistent = &request;
  g_first_persistent = &request;
}

void unlink_persistent(Request& request) {
  RequestsLock lock;
  (request.previous_persistent ? request.previous_persistent->next_persistent
                               : g_first_persistent) = request.next_persistent;
  if (request.next_persistent)
    request.next_persistent->previous_persistent = request.previous_persistent;
}

void settle(Request& request, int error, const MPI_Status& status) {
  request.status = status;
  request.error = error;
  request.complete = true;
  unlink_pending(request);
  if (is_receive(request) && !status._cancelled) count_received(*request.comm, status.MPI_SOURCE);
}

bool poll(Request& request) {
  if (request.complete) return true;
  if (request.kind == RequestKind::send && request.epoch != current_epoch()) {
    // The lower half it began in is gone; its message was drained before.
    request.status = empty_status();
    request.complete = true;
    return true;
  }
  auto lower = static_cast<MPI_Request>(request.own.lower);
  if (can_watch() && !seen_ended(lower)) {
    g_completion.progress();
    if (!seen_ended(lower)) return false;
  }
  int ended = 0;
  MPI_Status status = {};
  const int error = lower::Test(&lower, &ended, &status);
  if (!ended && error == MPI_SUCCESS) return false;
  request.own.lower = lower;
  settle(request, error, status);
  return true;
}

int consume(MPI_Request* handle, MPI_Status* status) {
  Request& ended = *request(*handle);
  const int error = ended.error;
  if (status != MPI_STATUS_IGNORE) {
    const int kept = status->MPI_ERROR;  // set by calls on several requests only
    *status = ended.status;
    status->MPI_ERROR = kept;
  }
  if (ended.persistent) {
    ended.active = false;
    ended.complete = false;
    ended.error = MPI_SUCCESS;
  } else {
    drop_request(&ended);
    *handle = null_request();
  }
  return error;
}

void sweep_freed() {
  for (Request* at = g_first_pending; at;) {
    Request* next = at->next;
    if (at->freed && poll(*at)) {
      if (at->persistent) {
        auto lower = static_cast<MPI_Request>(at->own.lower);
        lower::Request_free(&lower);
      }
      drop_request(at);
    }
    at = next;
  }
}

void set_empty(MPI_Status* status) {
  if (status == MPI_STATUS_IGNORE) return;
  const int kept = status->MPI_ERROR;
  *status = empty_status();
  status->MPI_ERROR = kept;
}

namespace {

int post_again(Request& request) {
  auto lower = static_cast<MPI_Request>(request.own.lower);
  int error;
  if (request.persistent) {
    error = lower::Start(&lower);
  } else if (request.comm->gone) {
    error = lower::Irecv(nullptr, 0, static_cast<MPI_Datatype>(request.datatype->handle->lower), 0,
                         kNeverSentTag, g_private.self, &lower);
  } else {
    error = lower::Irecv(request.buffer, request.count,
                         static_cast<MPI_Datatype>(request.datatype->handle->lower), request.peer,
                         request.tag, static_cast<MPI_Comm>(request.comm->handle->lower), &lower);
  }
  request.own.lower = lower;
  return error;
}

}  // namespace

const char* rebuild_requests() {
  for (Request* at = g_first_persistent; at; at = at->next_persistent) {
    if (make_lower_persistent(*at) != MPI_SUCCESS) return "a persistent request";
    if (at->active && !at->complete && at->kind == RequestKind::send) {
      at->status = empty_status();
      at->complete = true;
    }
  }
  for (Request* at = g_first_pending; at; at = at->next) {
    if (at->kind != RequestKind::receive) return "an operation that the drain left pending";
    if (post_again(*at) != MPI_SUCCESS) return "a pending receive";
  }
  return "";
}

}  // namespace ckpt::shim
