// Communicators: making the shim's record of one the lower half has made.
//
// Purpose: members, gid and inheritance of a new communicator; the end of one.
// Ownership: adopt_communicator gives the record one reference, the program's.
// Threads: adopt_communicator and members_of inside a door.
// Units: ranks in MPI_COMM_WORLD.
// Errors: MPI error codes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// MPI_COMM_WORLD, MPI_COMM_SELF and their groups.
void init_communicators();

// World ranks of the members of a lower communicator.
std::vector<int> members_of(MPI_Comm lower);

// gid of a communicator of `members` made by a collective on `parent`, whose
// clock counts that collective already.
std::uint64_t derived_gid(const Communicator& parent, const std::vector<int>& members);
// ... made by its members alone, the `turn`-th time with this parent and tag.
std::uint64_t group_gid(const Communicator& parent, const std::vector<int>& members, int tag,
                        std::uint64_t turn);

// The record of a new communicator; errors are handled as on `parent`.
Communicator* adopt_communicator(MPI_Comm lower, const Communicator& parent,
                                 std::vector<int> members, std::uint64_t gid);

// What a collective on `parent` gave this rank; nullptr for MPI_COMM_NULL.
Communicator* derived_communicator(MPI_Comm lower, const Communicator& parent);

inline MPI_Comm handle_of_communicator(Communicator* comm) {
  return reinterpret_cast<MPI_Comm>(comm->handle);
}

inline MPI_Comm handle_or_null(Communicator* comm) {
  return comm ? handle_of_communicator(comm) : predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_NULL);
}

// The lower half's group of these members; inside a door.
MPI_Group new_lower_group(const std::vector<int>& world_ranks);
void free_lower_group(MPI_Group group);

// A group object of the program.
Group* new_group(std::vector<int> world_ranks);
inline MPI_Group handle_of_group(Group* group) {
  return reinterpret_cast<MPI_Group>(group->handle);
}
int my_world_rank();

}  // namespace ckpt::shim
