// The channel log: messages the drain took out of the network.
//
// Purpose: keeps, for each communicator and in the order of arrival, what no
//   posted receive matched at a cut, and finds it for later receives and probes
//   in MPI's matching order. No MPI calls here.
// Ownership: a communicator owns its log, the log its messages; a message that
//   was taken belongs to the taker. All memory is the program's (upper half),
//   so the image holds it.
// Threads: log_mutex() around everything under MPI_THREAD_MULTIPLE; the shim's
//   thread changes logs with the doors closed only.
// Units: bytes as sent (packed). Ranks are those of the communicator.
// Errors: none; memory that cannot be had is the drain's to report.
// Source: MPI 3.1 section 3.5 (order), 3.8.2 (matched probe).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ckpt::shim {

struct Communicator;  // handles.hpp

struct LoggedMessage {
  LoggedMessage* next = nullptr;
  int source = 0;
  int tag = 0;
  std::size_t size = 0;
  unsigned char* bytes = nullptr;  // malloc'ed, nullptr for an empty message
  // While it is still arriving (a cut may be abandoned in the middle of the
  // drain): the lower half's request, and the list of those.
  void* arriving = nullptr;
  LoggedMessage* next_arriving = nullptr;
  Communicator* comm = nullptr;
};

struct ChannelLog {
  LoggedMessage* first = nullptr;
  LoggedMessage* last = nullptr;
};

// A wildcard is -1 for the source and any negative tag (as in mpi.h: a test
// compares them with MPI_ANY_SOURCE and MPI_ANY_TAG).
inline constexpr int kAnySource = -1;
inline constexpr int kAnyTag = -1;

void append(ChannelLog& log, LoggedMessage* message);

// The first message that (source, tag) matches, or nullptr; it stays.
LoggedMessage* find(const ChannelLog& log, int source, int tag);

// Takes `message`, which is in `log`, out of it.
void take(ChannelLog& log, LoggedMessage* message);

// Frees the message and its bytes.
void discard(LoggedMessage* message);

}  // namespace ckpt::shim
