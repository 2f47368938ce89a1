// Arithmetic of Cartesian grids: row-major, as MPI has it. No MPI calls.
#pragma once

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

int grid_size(const CartTopology& grid);
std::vector<int> coordinates_of(const CartTopology& grid, int rank);
// MPI_PROC_NULL when a coordinate of a dimension that does not wrap is outside.
int rank_at(const CartTopology& grid, const std::vector<int>& coordinates);

}  // namespace ckpt::shim
