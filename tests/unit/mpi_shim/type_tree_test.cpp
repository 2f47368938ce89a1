#include "mpi_shim/objects/type_tree.hpp"

#include <gtest/gtest.h>

namespace ckpt::shim {
namespace {

struct TypeTree : testing::Test {
  Datatype integer, real, pair, nested;

  void SetUp() override {
    basic(integer, 4);
    basic(real, 8);
    // { int[2]; double[3]; } at 0 and 8
    pair.combiner = MPI_COMBINER_STRUCT;
    pair.ints = {2, 2, 3};
    pair.aints = {0, 8};
    pair.members = {&integer, &real};
    pair.size = pair.extent = pair.true_extent = 32;
    nested.combiner = MPI_COMBINER_VECTOR;
    nested.ints = {2, 1, 2};
    nested.members = {&pair};
    nested.size = 64;
    nested.extent = nested.true_extent = 96;
  }

  static void basic(Datatype& type, MPI_Count size) {
    type.size = type.extent = type.true_extent = size;
    type.contiguous = true;
  }
};

TEST_F(TypeTree, ElementsOfWholeAndPartialData) {
  // Bytes at which a basic element ends, in order.
  const std::vector<MPI_Count> ends = {4, 8, 16, 24, 32, 36, 40, 48, 56, 64};
  EXPECT_EQ(elements_in(nested, 0), 0);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    EXPECT_EQ(elements_in(nested, ends[i]), static_cast<MPI_Count>(i + 1));
    EXPECT_EQ(elements_in(nested, ends[i] - 2), MPI_UNDEFINED);
    EXPECT_EQ(bytes_of_elements(nested, static_cast<MPI_Count>(i + 1)), ends[i]);
  }
  EXPECT_EQ(elements_in(nested, 64 * 1000 + 8), 10002);
}

TEST_F(TypeTree, EmptyType) {
  Datatype empty;
  empty.combiner = MPI_COMBINER_CONTIGUOUS;
  empty.ints = {0};
  empty.members = {&integer};
  EXPECT_EQ(elements_in(empty, 0), 0);
  EXPECT_EQ(bytes_of_elements(empty, 3), 0);
}

TEST_F(TypeTree, Contiguous) {
  EXPECT_TRUE(is_contiguous(integer));
  EXPECT_FALSE(is_contiguous(nested));
  EXPECT_FALSE(is_contiguous(pair));  // a struct's blocks may be in any order
  Datatype row;
  row.combiner = MPI_COMBINER_CONTIGUOUS;
  row.ints = {5};
  row.members = {&integer};
  row.size = row.extent = row.true_extent = 20;
  EXPECT_TRUE(is_contiguous(row));
  row.lb = row.true_lb = -4;
  EXPECT_FALSE(is_contiguous(row));
}

}  // namespace
}  // namespace ckpt::shim
