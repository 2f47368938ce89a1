// MPI_Cart_*, MPI_Topo_test: the grid is known in the upper half; only making
// one calls the lower half.
#include "mpi_shim/objects/cartesian.hpp"

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/lowering.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/communicators.hpp"

namespace ckpt::shim {

int grid_size(const CartTopology& grid) {
  int size = 1;
  for (const int dim : grid.dims) size *= dim;
  return size;
}

std::vector<int> coordinates_of(const CartTopology& grid, int rank) {
  std::vector<int> coordinates(grid.dims.size());
  int rest = grid_size(grid);
  for (std::size_t i = 0; i < grid.dims.size(); ++i) {
    rest /= grid.dims[i];
    coordinates[i] = rank / rest;
    rank %= rest;
  }
  return coordinates;
}

int rank_at(const CartTopology& grid, const std::vector<int>& coordinates) {
  int rank = 0;
  for (std::size_t i = 0; i < grid.dims.size(); ++i) {
    int at = coordinates[i];
    if (at < 0 || at >= grid.dims[i]) {
      if (!grid.periods[i]) return MPI_PROC_NULL;
      at = (at % grid.dims[i] + grid.dims[i]) % grid.dims[i];
    }
    rank = rank * grid.dims[i] + at;
  }
  return rank;
}

namespace {

// The grid of `comm`; raises the error where there is none.
const CartTopology* grid_of(MPI_Comm comm, const char* function, int& code) {
  const Communicator* state = checked(comm);
  if (!state) {
    code = raise_error(kNoHandle, MPI_ERR_COMM, function);
    return nullptr;
  }
  if (!state->cart) code = raise_error(comm, MPI_ERR_TOPOLOGY, function);
  return state->cart.get();
}

}  // namespace

namespace calls {

int Cart_create(MPI_Comm old_comm, int ndims, const int dims[], const int periods[], int reorder,
                MPI_Comm* comm_cart) {
  Communicator* state = checked(old_comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Cart_create");
  int code;
  {
    CollectiveDoor door(*state, "MPI_Cart_create");
    MPI_Comm lower;
    code = lower::Cart_create(lower_of(old_comm), ndims, dims, periods, reorder, &lower);
    if (code == MPI_SUCCESS) {
      Communicator* made = derived_communicator(lower, *state);
      if (made)
        made->cart = std::make_unique<CartTopology>(
            CartTopology{{dims, dims + ndims}, {periods, periods + ndims}});
      *comm_cart = handle_or_null(made);
    }
  }
  return code == MPI_SUCCESS ? code : raise_error(old_comm, code, "MPI_Cart_create");
}

int Cart_sub(MPI_Comm comm, const int remain_dims[], MPI_Comm* new_comm) {
  int code = MPI_SUCCESS;
  const CartTopology* grid = grid_of(comm, "MPI_Cart_sub", code);
  if (!grid) return code;
  Communicator* state = checked(comm);
  auto rest = std::make_unique<CartTopology>();
  for (std::size_t i = 0; i < grid->dims.size(); ++i) {
    if (!remain_dims[i]) continue;
    rest->dims.push_back(grid->dims[i]);
    rest->periods.push_back(grid->periods[i]);
  }
  {
    CollectiveDoor door(*state, "MPI_Cart_sub");
    MPI_Comm lower;
    code = lower::Cart_sub(lower_of(comm), remain_dims, &lower);
    if (code == MPI_SUCCESS) {
      Communicator* made = derived_communicator(lower, *state);
      if (made) made->cart = std::move(rest);
      *new_comm = handle_or_null(made);
    }
  }
  return code == MPI_SUCCESS ? code : raise_error(comm, code, "MPI_Cart_sub");
}

int Topo_test(MPI_Comm comm, int* status) {
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Topo_test");
  *status = state->cart ? MPI_CART : MPI_UNDEFINED;
  return MPI_SUCCESS;
}

int Cartdim_get(MPI_Comm comm, int* ndims) {
  int code = MPI_SUCCESS;
  const CartTopology* grid = grid_of(comm, "MPI_Cartdim_get", code);
  if (grid) *ndims = static_cast<int>(grid->dims.size());
  return code;
}

int Cart_get(MPI_Comm comm, int maxdims, int dims[], int periods[], int coords[]) {
  int code = MPI_SUCCESS;
  const CartTopology* grid = grid_of(comm, "MPI_Cart_get", code);
  if (!grid) return code;
  const std::vector<int> here = coordinates_of(*grid, checked(comm)->rank);
  for (std::size_t i = 0; i < grid->dims.size() && static_cast<int>(i) < maxdims; ++i) {
    dims[i] = grid->dims[i];
    periods[i] = grid->periods[i];
    coords[i] = here[i];
  }
  return MPI_SUCCESS;
}

int Cart_rank(MPI_Comm comm, const int coords[], int* rank) {
  int code = MPI_SUCCESS;
  const CartTopology* grid = grid_of(comm, "MPI_Cart_rank", code);
  if (!grid) return code;
  const int found = rank_at(*grid, {coords, coords + grid->dims.size()});
  if (found == MPI_PROC_NULL) return raise_error(comm, MPI_ERR_ARG, "MPI_Cart_rank");
  *rank = found;
  return MPI_SUCCESS;
}

int Cart_coords(MPI_Comm comm, int rank, int maxdims, int coords[]) {
  int code = MPI_SUCCESS;
  const CartTopology* grid = grid_of(comm, "MPI_Cart_coords", code);
  if (!grid) return code;
  if (rank < 0 || rank >= checked(comm)->size)
    return raise_error(comm, MPI_ERR_RANK, "MPI_Cart_coords");
  if (maxdims < 0) return raise_error(comm, MPI_ERR_DIMS, "MPI_Cart_coords");
  const std::vector<int> found = coordinates_of(*grid, rank);
  for (std::size_t i = 0; i < found.size() && static_cast<int>(i) < maxdims; ++i)
    coords[i] = found[i];
  return MPI_SUCCESS;
}

int Cart_shift(MPI_Comm comm, int direction, int disp, int* rank_source, int* rank_dest) {
  int code = MPI_SUCCESS;
  const CartTopology* grid = grid_of(comm, "MPI_Cart_shift", code);
  if (!grid) return code;
  if (direction < 0 || direction >= static_cast<int>(grid->dims.size()))
    return raise_error(comm, MPI_ERR_DIMS, "MPI_Cart_shift");
  const int rank = checked(comm)->rank;
  std::vector<int> at = coordinates_of(*grid, rank);
  const auto axis = static_cast<std::size_t>(direction);
  const int here = at[axis];
  at[axis] = here + disp;
  *rank_dest = rank_at(*grid, at);
  at[axis] = here - disp;
  *rank_source = rank_at(*grid, at);
  return MPI_SUCCESS;
}

int Cart_map(MPI_Comm comm, int ndims, const int dims[], const int periods[], int* newrank) {
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Cart_map");
  const CartTopology grid{{dims, dims + ndims}, {periods, periods + ndims}};
  const int size = grid_size(grid);
  if (size > state->size) return raise_error(comm, MPI_ERR_DIMS, "MPI_Cart_map");
  *newrank = state->rank < size ? state->rank : MPI_UNDEFINED;
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
