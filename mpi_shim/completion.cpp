// The wait and test families.
#include <memory>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/requests.hpp"
#include "mpi_shim/waiting.hpp"

namespace ckpt::shim {

namespace {

Request* active_request(MPI_Request handle) {
  Request* given = request(handle);
  return given && given->active ? given : nullptr;
}

// The requests of a call that have not ended, side by side as lower handles, so
// that one call of the lower half polls them all.
class Outstanding {
 public:
  Outstanding(int count, const MPI_Request* handles) : handles_(handles), count_(count) {
    if (count > kFew) many_ = std::make_unique<Entry[]>(static_cast<std::size_t>(count));
    gather();
  }

  // Anew: after the doors were closed lower handles may be others.
  void gather() {
    open_ = 0;
    active_ = 0;
    for (int i = 0; i < count_; ++i) {
      Request* given = active_request(handles_[i]);
      if (!given) continue;
      ++active_;
      if (given->complete) continue;
      if (given->kind == RequestKind::send && given->epoch != current_epoch() && poll(*given))
        continue;
      entries()[open_++].request = given;
    }
  }

  int active() const { return active_; }
  int open() const { return open_; }

  // Polls all once. True when at least one ended.
  bool harvest() {
    if (open_ == 1) {
      if (!poll(*entries()[0].request)) return false;
      open_ = 0;
      return true;
    }
    return open_ > 0 && harvest_some();
  }

 private:
  struct Entry {
    Request* request;
  };
  static constexpr int kFew = 64;

  Entry* entries() { return many_ ? many_.get() : few_; }

  // In pieces, so that the arrays the lower half wants fit on the stack.
  bool harvest_some() {
    bool any = false;
    int kept = 0;
    for (int from = 0; from < open_; from += kFew) {
      const int piece = open_ - from < kFew ? open_ - from : kFew;
      Entry* part = entries() + from;
      any |= harvest_piece(part, piece);
      for (int i = 0; i < piece; ++i) {
        if (!part[i].request->complete) entries()[kept++] = part[i];
      }
    }
    open_ = kept;
    return any;
  }

  static bool harvest_piece(Entry* part, int piece) {
    MPI_Request lower[kFew];
    int indices[kFew];
    MPI_Status statuses[kFew];
    for (int i = 0; i < piece; ++i) lower[i] = static_cast<MPI_Request>(part[i].request->own.lower);
    int ended = 0;
    const int error = lower::Testsome(piece, lower, &ended, indices, statuses);
    if (error != MPI_SUCCESS && error != MPI_ERR_IN_STATUS) {
      // Not a matter of one of them: each says for itself.
      bool any = false;
      for (int i = 0; i < piece; ++i) any |= poll(*part[i].request);
      return any;
    }
    if (ended == MPI_UNDEFINED) return false;
    for (int i = 0; i < ended; ++i) {
      Request& request = *part[indices[i]].request;
      request.own.lower = lower[indices[i]];
      settle(request, error == MPI_SUCCESS ? MPI_SUCCESS : statuses[i].MPI_ERROR, statuses[i]);
    }
    return ended > 0;
  }

  const MPI_Request* handles_;
  int count_;
  int active_ = 0;
  int open_ = 0;
  Entry few_[kFew];
  std::unique_ptr<Entry[]> many_;
};

// The communicator whose error handler answers: kept alive until it has.
class Blamed {
 public:
  ~Blamed() {
    if (comm_) release(comm_);
  }
  void set(Communicator* comm) {
    if (comm_ || !comm) return;
    comm_ = comm;
    retain(comm_);
  }
  int raise(int error, const char* function) {
    return raise_error(comm_ ? comm_->handle : nullptr, error, function);
  }

 private:
  Communicator* comm_ = nullptr;
};

int consume_or_blame(MPI_Request* handle, MPI_Status* status, Blamed& blamed) {
  Request& ended = *request(*handle);
  if (ended.error != MPI_SUCCESS) [[unlikely]]
    blamed.set(ended.comm);
  return consume(handle, status);
}

MPI_Status* status_at(MPI_Status* statuses, int index) {
  return statuses == MPI_STATUSES_IGNORE ? MPI_STATUS_IGNORE : statuses + index;
}

// All have ended: reports each. MPI_SUCCESS or MPI_ERR_IN_STATUS.
int consume_all(int count, MPI_Request* handles, MPI_Status* statuses, Blamed& blamed) {
  bool failed = false;
  for (int i = 0; i < count; ++i) {
    MPI_Status* status = status_at(statuses, i);
    int error = MPI_SUCCESS;
    if (active_request(handles[i]))
      error = consume_or_blame(&handles[i], status, blamed);
    else
      set_empty(status);
    if (status != MPI_STATUS_IGNORE) status->MPI_ERROR = error;
    failed |= error != MPI_SUCCESS;
  }
  return failed ? MPI_ERR_IN_STATUS : MPI_SUCCESS;
}

// Reports the first that has ended; its index, or MPI_UNDEFINED.
int consume_any(int count, MPI_Request* handles, MPI_Status* status, int& error, Blamed& blamed) {
  for (int i = 0; i < count; ++i) {
    const Request* given = active_request(handles[i]);
    if (!given || !given->complete) continue;
    error = consume_or_blame(&handles[i], status, blamed);
    return i;
  }
  return MPI_UNDEFINED;
}

int consume_some(int count, MPI_Request* handles, int* ended, int* indices, MPI_Status* statuses,
                 Blamed& blamed) {
  bool failed = false;
  int found = 0;
  for (int i = 0; i < count; ++i) {
    const Request* given = active_request(handles[i]);
    if (!given || !given->complete) continue;
    MPI_Status* status = status_at(statuses, found);
    const int error = consume_or_blame(&handles[i], status, blamed);
    if (status != MPI_STATUS_IGNORE) status->MPI_ERROR = error;
    failed |= error != MPI_SUCCESS;
    indices[found++] = i;
  }
  *ended = found;
  return failed ? MPI_ERR_IN_STATUS : MPI_SUCCESS;
}

bool any_ended(const Outstanding& requests) { return requests.open() < requests.active(); }

}  // namespace

namespace calls {

int Wait(MPI_Request* request, MPI_Status* status) {
  Request* given = active_request(*request);
  if (!given) {
    set_empty(status);
    return MPI_SUCCESS;
  }
  Blamed blamed;
  int error;
  {
    Door door("MPI_Wait");
    wait_for(door, *given);
    error = consume_or_blame(request, status, blamed);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Wait");
}

int Test(MPI_Request* request, int* flag, MPI_Status* status) {
  Request* given = active_request(*request);
  if (!given) {
    *flag = 1;
    set_empty(status);
    return MPI_SUCCESS;
  }
  Blamed blamed;
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Test");
    *flag = poll(*given);
    if (*flag) error = consume_or_blame(request, status, blamed);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Test");
}

int Waitall(int count, MPI_Request array_of_requests[], MPI_Status* array_of_statuses) {
  Blamed blamed;
  int error;
  {
    Door door("MPI_Waitall");
    Outstanding requests(count, array_of_requests);
    while (requests.open() > 0) {
      requests.harvest();
      if (door.must_leave()) {
        door.step_aside();
        requests.gather();
      }
    }
    error = consume_all(count, array_of_requests, array_of_statuses, blamed);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Waitall");
}

int Testall(int count, MPI_Request array_of_requests[], int* flag, MPI_Status array_of_statuses[]) {
  Blamed blamed;
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Testall");
    Outstanding requests(count, array_of_requests);
    if (requests.open() > 0) requests.harvest();
    *flag = requests.open() == 0;
    if (*flag) error = consume_all(count, array_of_requests, array_of_statuses, blamed);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Testall");
}

int Waitany(int count, MPI_Request array_of_requests[], int* index, MPI_Status* status) {
  Blamed blamed;
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Waitany");
    Outstanding requests(count, array_of_requests);
    while (requests.active() > 0 && !any_ended(requests)) {
      requests.harvest();
      if (door.must_leave()) {
        door.step_aside();
        requests.gather();
      }
    }
    *index = consume_any(count, array_of_requests, status, error, blamed);
    if (*index == MPI_UNDEFINED) set_empty(status);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Waitany");
}

int Testany(int count, MPI_Request array_of_requests[], int* index, int* flag, MPI_Status* status) {
  Blamed blamed;
  int error = MPI_SUCCESS;
  {
    Door door("MPI_Testany");
    Outstanding requests(count, array_of_requests);
    if (requests.active() > 0 && !any_ended(requests)) requests.harvest();
    *index = consume_any(count, array_of_requests, status, error, blamed);
    *flag = *index != MPI_UNDEFINED || requests.active() == 0;
    if (requests.active() == 0) set_empty(status);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Testany");
}

int Waitsome(int incount, MPI_Request array_of_requests[], int* outcount, int array_of_indices[],
             MPI_Status array_of_statuses[]) {
  Blamed blamed;
  int error;
  {
    Door door("MPI_Waitsome");
    Outstanding requests(incount, array_of_requests);
    if (requests.active() == 0) {
      *outcount = MPI_UNDEFINED;
      return MPI_SUCCESS;
    }
    while (!any_ended(requests)) {
      requests.harvest();
      if (door.must_leave()) {
        door.step_aside();
        requests.gather();
      }
    }
    error = consume_some(incount, array_of_requests, outcount, array_of_indices, array_of_statuses,
                         blamed);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Waitsome");
}

int Testsome(int incount, MPI_Request array_of_requests[], int* outcount, int array_of_indices[],
             MPI_Status array_of_statuses[]) {
  Blamed blamed;
  int error;
  {
    Door door("MPI_Testsome");
    Outstanding requests(incount, array_of_requests);
    if (requests.active() == 0) {
      *outcount = MPI_UNDEFINED;
      return MPI_SUCCESS;
    }
    requests.harvest();
    error = consume_some(incount, array_of_requests, outcount, array_of_indices, array_of_statuses,
                         blamed);
  }
  return error == MPI_SUCCESS ? error : blamed.raise(error, "MPI_Testsome");
}

int Request_get_status(MPI_Request request, int* flag, MPI_Status* status) {
  Request* given = active_request(request);
  if (!given) {
    *flag = 1;
    set_empty(status);
    return MPI_SUCCESS;
  }
  // The outcome is kept in the record until a wait or test asks for it.
  Door door("MPI_Request_get_status");
  *flag = poll(*given);
  if (*flag && status != MPI_STATUS_IGNORE) {
    const int kept = status->MPI_ERROR;
    *status = given->status;
    status->MPI_ERROR = kept;
  }
  return MPI_SUCCESS;
}

}  // namespace calls
}  // namespace ckpt::shim
