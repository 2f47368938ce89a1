// Seeing that a request of the lower half has ended without calling it.
//
// Purpose: a wait loop drives the lower half with its own progress function and
//   reads the word in which the library notes completion, instead of calling
//   MPI_Test in each round. Where that word lies is found out by watching two
//   requests end; where it is not plain, loops call MPI_Test.
// Ownership: nothing. Threads: any, inside a door; find_completion_word with
//   nobody inside.
// Errors: none: without the word everything works, a little slower.
// Source: Open MPI 4.1, ompi/request/request.h (req_complete).
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>

#include "mpi_shim/lower_table.hpp"

namespace ckpt::shim {

struct CompletionWatch {
  void (*progress)() = nullptr;  // of the lower half; nullptr: do not watch
  std::size_t word = 0;
};
[[gnu::visibility("hidden")]] extern CompletionWatch g_completion;

// At MPI_Init and after a restart; g_private must be made.
void find_completion_word();

inline bool can_watch() { return g_completion.progress != nullptr; }

// `request`: of the lower half, active. False may also mean: not yet seen.
inline bool seen_ended(MPI_Request request) {
  return reinterpret_cast<const volatile std::uint64_t*>(request)[g_completion.word] == 1;
}

}  // namespace ckpt::shim
