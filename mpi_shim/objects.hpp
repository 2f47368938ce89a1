// Life of the MPI objects: what init, finalize, rebuild and every wrapper call.
//
// Purpose: makes the predefined handles, finds communicators by gid, raises
//   errors through error handlers, makes the lower half's objects again after
//   a restart.
// Ownership: see handles.hpp.
// Threads: init_objects, rebuild_objects and finalize_objects: one thread, no
//   other inside the shim. The rest: any thread.
// Errors: MPI error codes; rebuild_objects gives a text.
// Source: MPI 3.1 section 8.3 (error handling); DESIGN.md section 3.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// Writes the predefined handles and makes MPI_COMM_WORLD and MPI_COMM_SELF; the
// lower half must be up (g_lower). `thread_multiple`: what the program got.
void init_objects(bool thread_multiple);

// The predefined handles alone, with no lower handles yet (init_objects begins
// with it). Not in a job that runs natively: it writes over libmpi's own objects.
void prepare_predefined_handles();

// MPI_Finalize: deletes the attributes of MPI_COMM_SELF (their callbacks run).
void finalize_objects();

// After a restart, g_lower being the fresh lower half: predefined handles, live
// communicators (ascending gid), datatypes, ops and the attached buffer get
// lower handles again. Collective over all ranks. Returns "" or what failed.
std::string rebuild_objects();

// Calls the error handler of `comm` (any Handle: a null or unknown one stands
// for MPI_COMM_WORLD) for an error the lower half returned or the shim found.
// Returns the code for the program; does not return from MPI_ERRORS_ARE_FATAL.
// MPI_SUCCESS comes back at once.
int raise_error(Handle* comm, int error, const char* function);
inline int raise_error(MPI_Comm comm, int error, const char* function) {
  return raise_error(handle_of(comm), error, function);
}
inline int raise_error(std::nullptr_t, int error, const char* function) {
  return raise_error(static_cast<Handle*>(nullptr), error, function);
}

// Names `function` on stderr once and raises MPI_ERR_UNSUPPORTED_OPERATION.
int unsupported(Handle* comm, const char* function);

// All communicators and their clocks, freed ones (farewells.hpp) and the meetings
// of MPI_Comm_create_group included. To be called with the doors closed, or under objects_mutex()
// (objects/object_tables.hpp).
const std::vector<Communicator*>& live_communicators();
Communicator* communicator_of_gid(std::uint64_t gid);

// What MPI_Buffer_attach was given, for the rebuild.
struct AttachedBuffer {
  void* address = nullptr;
  int size = 0;
};
extern AttachedBuffer g_attached_buffer;

}  // namespace ckpt::shim
