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
// Threads: under MPI_THREAD_MULTIPLE the lists are guarded by requests_mutex
//   (in requests.cpp); a request is used by one thread at a time (MPI rule).
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

struct LoggedMessage;  // channel_log.hpp

enum class RequestKind : std::uint8_t { send, receive, matched_receive, collective };
enum class SendMode : std::uint8_t { standard, synchronous, buffered, ready };

struct Request {
  Handle own;  // own.lower: the lower request, or its MPI_REQUEST_NULL
  RequestKind kind = RequestKind::send;
  SendMode mode = SendMode::standard;
  bool persistent = false;
  bool active = false;    // started and not yet reported complete to the program
  bool complete = false;  // `status` and `error` are final; the lower half has forgotten it
  bool freed = false;     // by MPI_Request_free while active: ends by itself
  bool counted = false;   // its message is in received[] already (came from the channel log)
  bool linked = false;    // is in the list of active requests
  void* buffer = nullptr;
  int count = 0;
  int peer = MPI_PROC_NULL;  // destination or source, a rank of `comm`
  int tag = 0;
  int error = MPI_SUCCESS;
  Datatype* datatype = nullptr;
  Communicator* comm = nullptr;
  MPI_Status status = {};
  Request* next = nullptr;
  Request* previous = nullptr;
};

inline Request* request(MPI_Request handle) {
  return static_cast<Request*>(handle_of(handle)->state);  // nullptr: MPI_REQUEST_NULL
}
inline MPI_Request handle_of_request(Request* request) {
  return reinterpret_cast<MPI_Request>(&request->own);
}

// A request of the program for a nonblocking collective the lower half has
// begun (`lower`: its request). Call it inside the collective's door.
MPI_Request adopt_collective(MPI_Request lower, Communicator& comm);

}  // namespace ckpt::shim
