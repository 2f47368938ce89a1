// The program's own libmpi: the one the upper half is linked to.
//
// Purpose: its functions (for a job that runs natively) and its data symbols
//   (which are the predefined handles).
// Ownership: nothing is owned; found with dlsym, kept for ever.
// Threads: any. Look-ups are idempotent.
// Errors: a function the library lacks is refused by name when it is called.
#pragma once

#include "mpi_function_ids.h"

namespace ckpt::shim {

// True: the job is not checkpointed, each call goes to the program's libmpi.
[[gnu::visibility("hidden")]] extern bool g_native;

// Its PMPI_ functions, once go_native() was called.
[[gnu::visibility("hidden")]] extern void* g_program_mpi[CKPT_MPI_FUNCTION_COUNT];

// From now on every call goes to the program's libmpi. At or before MPI_Init
// only. False when it lacks functions that mpi.h declares (they stay refused).
bool go_native();

extern const char* const g_function_names[CKPT_MPI_FUNCTION_COUNT];

template <typename Function>
inline Function program_function(ckpt_mpi_function which) {
  return reinterpret_cast<Function>(g_program_mpi[which]);
}

// A function of the program's libmpi by its name, nullptr when it has none.
void* find_next_function(const char* name);

// Address of a data symbol of libmpi, nullptr when the process has none.
void* find_program_symbol(const char* name);

}  // namespace ckpt::shim
