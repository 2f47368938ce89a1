// The lower half in use.
//
// Purpose: one load and one indirect call for a function of the lower half.
// Ownership: the table lies in the arena; use_lower_table copies its pointers.
// Threads: set at init and at a restart, with nobody inside a door.
// Errors: none.
#pragma once

#include "mpi_function_ids.h"
#include "mpi_shim/host/lower_half.h"

namespace ckpt::shim {

[[gnu::visibility("hidden")]] extern ckpt_lower_table* g_lower;  // nullptr before MPI_Init
[[gnu::visibility("hidden")]] extern void* g_lower_mpi[CKPT_MPI_FUNCTION_COUNT];

// Takes over a lower half (the first, or the fresh one after a restart).
void use_lower_table(ckpt_lower_table* table);

// The handle of the lower half; only after use_lower_table.
inline void* lower_predefined(ckpt_predefined which) { return g_lower->handles[which]; }

}  // namespace ckpt::shim
