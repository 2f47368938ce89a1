// Requests: what a pending operation of the program is.
//
// Purpose: the state behind an MPI_Request. Holds what is needed to post a
//   receive again after a restart and to make a persistent request again; keeps
//   the result of an operation that the drain completed behind the program's
//   back, until the program asks for it.
// Ownership: records come from a free list and go back there when the program
//   gets to know of the completion (or frees them). A record holds a reference
//   on its communicator and datatype from the start to the end of a receive, a
//   persistent one as long as it lives.
// Threads: under MPI_THREAD_MULTIPLE the lists are guarded by RequestsLock; a request is used by
// one thread at a time (MPI rule).
//   The shim's thread reads and changes records with the doors closed only.
// Order: active requests are in one list in the order of their posting; a
//   restart posts receives again in that order.
// Errors: MPI error codes.
// Source: MPI 3.1 section 3.7, 3.9; DESIGN.md section 4.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

enum class RequestKind : std::uint8_t { send, receive, matched_receive, collective };
enum class SendMode : std::uint8_t { standard, synchronous, buffered, ready };

struct Request {
  Handle own;  // own.lower: the lower request
  RequestKind kind = RequestKind::send;
  SendMode mode = SendMode::standard;
  bool persistent = false;
  bool active = false;      // started and not yet reported complete to the program
  bool complete = false;    // `status` and `error` are final
  bool freed = false;       // by MPI_Request_free while active: ends by itself
  bool linked = false;      // is in the list of pending requests
  std::uint32_t epoch = 0;  // in which a send began: complete by the next one
  int count = 0;
  int peer = MPI_PROC_NULL;  // destination or source, a rank of `comm`
  int tag = 0;
  int error = MPI_SUCCESS;
  void* buffer = nullptr;
  Datatype* datatype = nullptr;
  Communicator* comm = nullptr;
  MPI_Status status = {};
  Request* next = nullptr;  // pending requests, or the free list
  Request* previous = nullptr;
  Request* next_persistent = nullptr;
  Request* previous_persistent = nullptr;
};

inline Request* request(MPI_Request handle) {
  return static_cast<Request*>(handle_of(handle)->state);  // nullptr: MPI_REQUEST_NULL
}
inline MPI_Request handle_of_request(Request* request) {
  return reinterpret_cast<MPI_Request>(&request->own);
}
inline MPI_Request null_request() { return predefined<MPI_Request>(CKPT_HANDLE_MPI_REQUEST_NULL); }

// A request of the program for a nonblocking collective the lower half has
// begun (`lower`: its request). Call it inside the collective's door.
MPI_Request adopt_collective(MPI_Request lower, Communicator& comm);

// A record with nothing set but its handle; drop_request gives it back, with
// what it refers to.
Request* new_request();
void drop_request(Request* request);

// Fills in what is needed to post again, with references on type and comm.
void describe(Request& request, RequestKind kind, void* buffer, int count, MPI_Datatype type,
              int peer, int tag, MPI_Comm comm);

// Into the list of what the drain must look at: receives and collectives, in
// the order of posting. A Request on the stack (a blocking receive that waits)
// may be linked too.
void link_pending(Request& request);
void unlink_pending(Request& request);
Request* first_pending();

// Into the list of persistent requests, which a restart makes again.
void link_persistent(Request& request);
void unlink_persistent(Request& request);

// Inside a door: has the operation ended? Then status and error are in the
// record, its message is counted, and it is no longer pending.
bool poll(Request& request);

// The operation ended with `error` and `status` in the lower half.
void settle(Request& request, int error, const MPI_Status& status);

// Tells the program: copies the status, makes a persistent request inactive and
// drops any other. Returns its error.
int consume(MPI_Request* handle, MPI_Status* status);

// Requests of MPI_Request_free that have ended meanwhile. Inside a door.
void sweep_freed();

// What a null or inactive request gives.
void set_empty(MPI_Status* status);

// After a restart, with the doors closed and all objects rebuilt: makes the
// persistent requests again and posts pending receives, in order. "" or what
// failed.
const char* rebuild_requests();

// The lock of the lists, taken under MPI_THREAD_MULTIPLE only.
class RequestsLock {
 public:
  RequestsLock();
  ~RequestsLock();
  RequestsLock(const RequestsLock&) = delete;
  RequestsLock& operator=(const RequestsLock&) = delete;
};

}  // namespace ckpt::shim
