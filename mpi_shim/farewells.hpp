// Freed communicators that not all members have freed yet.
//
// Purpose: MPI_Comm_free does not wait for the other members. But a member that
//   is behind may still be in a collective that this rank has left, and needs
//   it at a restart; so the record stays, with its clock and its lower
//   communicator, until a barrier of the lower half (which no clock counts, and
//   which a cut leaves as it is) says that all members have freed it.
// Ownership: takes over the program's reference on the communicator.
// Threads: inside a door, or the shim's thread with the doors closed.
// Errors: MPI error codes.
// Source: MPI 3.1 section 6.4.3; ARCHITECTURE.md "Collective clocks".
#pragma once

#include <string>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// This rank frees `comm`: begins its barrier. Outside of any door.
int say_farewell(Communicator& comm);

// Lets go what all members have freed.
void poll_farewells();

// MPI_Finalize, all ranks being in it: waits for those left.
void finish_farewells();

// After a restart, before communicators are made again: agrees with all ranks
// on those that every member still has; the others go without a lower half's
// communicator. Collective over all ranks. "" or what failed.
std::string agree_on_farewells();
// ... and after they were made: begins the barriers again.
std::string restart_farewells();

}  // namespace ckpt::shim
