// The constructor tree of datatypes.
//
// Purpose: makes the lower half's datatype from the record of its constructor
//   (at creation and after a restart), and counts basic elements.
// Ownership: a Datatype holds a reference on each of its members.
// Threads: build_lower inside a door (or with the doors closed). The rest: any.
// Units: bytes; elements are predefined datatypes (a pair type is one, as in
//   Open MPI).
// Errors: MPI error codes.
// Source: MPI 3.1 sections 4.1.13 (envelope and contents), 4.1.11 (elements).
#pragma once

#include <vector>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// Makes `type`'s lower handle by its constructor, the members' being made
// already, and commits it when `type` is committed.
int build_lower(Datatype& type);

// The same for `type` and all it is made of, where the lower handle is missing.
int build_lower_tree(Datatype& type);

// No gaps, first byte at 0, elements in the order of their addresses.
bool is_contiguous(const Datatype& type);

// Size, bounds and true bounds from the lower half; inside a door.
void measure(Datatype& type);

// Basic elements in `bytes` bytes of data of `type`; MPI_UNDEFINED when they end
// within one.
MPI_Count elements_in(const Datatype& type, MPI_Count bytes);
// The reverse: bytes of the first `elements` basic elements.
MPI_Count bytes_of_elements(const Datatype& type, MPI_Count elements);

}  // namespace ckpt::shim
