// What the shim knows of each program thread that calls MPI.
//
// Purpose: one record a thread: is it inside the lower half, in which function,
//   and for which epoch does it have TLS of the lower half. The shim's thread
//   reads the records to know when nobody is inside.
// Ownership: records are never freed, only used again; t_thread points to the
//   calling thread's, or to one shared dummy before its first call. A pthread
//   key's destructor gives record and TLS donor back when the thread ends.
// Threads: a record is written by its thread alone; others read it after a
//   membarrier. Registration is lock-free.
// Errors: none; a thread that cannot get TLS of the lower half ends the job
//   with a message (attach_thread in doors.cpp).
// Source: ARCHITECTURE.md "Doors".
#pragma once

#include <cstdint>

namespace ckpt::shim {

struct alignas(64) ThreadState {
  // Depth of nested doors: callbacks run inside the lower half may call MPI.
  volatile std::uint32_t inside = 0;
  // Value of g_gate at which this thread passes without delay (its epoch), or
  // kNeverAttached.
  std::uint32_t gate = 0xffffffffu;
  const char* volatile function = "";
  std::uint64_t gs = 0;  // GS base of its donor in the epoch `gate`; 0 for the main thread
  bool main = false;     // ran MPI_Init: takes the lower half's main TLS
  volatile std::uint32_t parked = 0;  // stands at a collective's door
  volatile std::uint32_t shim = 0;    // the shim's own thread: counts for nothing
  volatile std::uint32_t used = 0;
  ThreadState* next = nullptr;  // of all records; set once
};

inline constexpr std::uint32_t kNeverAttached = 0xffffffffu;

extern ThreadState g_unregistered_thread;
extern constinit thread_local ThreadState* t_thread __attribute__((tls_model("initial-exec")));

// The calling thread's own record; makes it at the first call.
ThreadState* register_thread();

// The first of all records, for walking along `next`.
ThreadState* first_thread();

}  // namespace ckpt::shim
