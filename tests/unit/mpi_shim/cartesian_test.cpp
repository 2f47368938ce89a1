#include "mpi_shim/objects/cartesian.hpp"

#include <gtest/gtest.h>

namespace ckpt::shim {
namespace {

TEST(Cartesian, RowMajor) {
  const CartTopology grid{{2, 3, 4}, {0, 0, 0}};
  EXPECT_EQ(grid_size(grid), 24);
  EXPECT_EQ(coordinates_of(grid, 0), (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(coordinates_of(grid, 5), (std::vector<int>{0, 1, 1}));
  EXPECT_EQ(coordinates_of(grid, 23), (std::vector<int>{1, 2, 3}));
}

TEST(Cartesian, ThereAndBack) {
  const CartTopology grid{{3, 1, 5, 2}, {1, 0, 0, 1}};
  for (int rank = 0; rank < grid_size(grid); ++rank)
    EXPECT_EQ(rank_at(grid, coordinates_of(grid, rank)), rank);
}

TEST(Cartesian, WrapsWhereItIsPeriodic) {
  const CartTopology grid{{4, 3}, {1, 0}};
  EXPECT_EQ(rank_at(grid, {-1, 0}), 9);
  EXPECT_EQ(rank_at(grid, {4, 2}), 2);
  EXPECT_EQ(rank_at(grid, {-9, 1}), rank_at(grid, {3, 1}));
  EXPECT_EQ(rank_at(grid, {0, -1}), MPI_PROC_NULL);
  EXPECT_EQ(rank_at(grid, {0, 3}), MPI_PROC_NULL);
}

TEST(Cartesian, NoDimensions) {
  const CartTopology grid;
  EXPECT_EQ(grid_size(grid), 1);
  EXPECT_EQ(rank_at(grid, {}), 0);
}

}  // namespace
}  // namespace ckpt::shim
