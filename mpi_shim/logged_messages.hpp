// Receiving what the drain logged.
//
// Purpose: looks a receive or a probe up in the channel logs and hands the
//   message over: the lower half sends it to itself, from the packed bytes into
//   the program's buffer and datatype, so that partial elements, truncation
//   and counts come out as they would have.
// Ownership: a message handed over is gone. Held messages (MPI_Message) belong
//   to their handle.
// Threads: inside a door. Under MPI_THREAD_MULTIPLE the logs have a lock.
// Errors: MPI error codes (MPI_ERR_TRUNCATE with the count of what fitted).
// Source: MPI 3.1 section 3.2.2, 3.8.2.
#pragma once

#include <mpi.h>

#include "mpi_shim/channel_log.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// Messages in all logs: receives look there only when it is not 0.
[[gnu::visibility("hidden")]] extern volatile std::uint64_t g_logged_messages;
extern std::uint64_t g_logged_bytes;

inline bool anything_logged() { return __builtin_expect(g_logged_messages != 0, 0); }

// An MPI_Message of the program.
struct HeldMessage {
  Handle own;  // own.lower: the lower half's message, unless `logged`
  Communicator* comm = nullptr;
  LoggedMessage* logged = nullptr;
  int source = 0, tag = 0;
  std::size_t size = 0;
  HeldMessage* next = nullptr;
  HeldMessage* previous = nullptr;
};
inline HeldMessage* held_message(MPI_Message message) {
  return static_cast<HeldMessage*>(handle_of(message)->state);
}
HeldMessage* hold_message(Communicator& comm, MPI_Message lower, LoggedMessage* logged,
                          const MPI_Status& status);
void drop_held(HeldMessage* message);
HeldMessage* first_held();

// A message of the log that (source, tag) matches: taken out, or nullptr.
LoggedMessage* take_logged(Communicator& comm, int source, int tag);
inline LoggedMessage* take_logged(MPI_Comm comm, int source, int tag) {
  if (!anything_logged()) return nullptr;
  Communicator* state = communicator(comm);
  return state ? take_logged(*state, source, tag) : nullptr;
}
// The same, but it stays: fills in the status. False: none.
bool probe_logged(Communicator& comm, int source, int tag, MPI_Status* status);

// The status of a message as a probe gives it.
void describe_logged(const LoggedMessage& message, MPI_Status* status);

// Hands `message` over and frees it. The door may be left meanwhile when the
// message is still arriving. Returns the error of the receive.
int deliver(Door& door, LoggedMessage* message, void* buffer, int count, MPI_Datatype type,
            MPI_Status* status);

// A message the drain has begun to receive; it holds a reference on its
// communicator. Then it goes into the log, unless a handle holds it.
void add_arriving(LoggedMessage* message);
void add_logged(Communicator& comm, LoggedMessage* message);
// Tests the arriving ones; true when none is left. Inside, or doors closed.
bool poll_arriving();

}  // namespace ckpt::shim
