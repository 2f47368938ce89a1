// A byte count of any size as the lower half's (count, datatype).
//
// Purpose: counts of MPI calls are ints; a message of more than 2 GiB - 1 bytes
//   gets a datatype of its own.
// Ownership: frees the datatype it made. Threads: any, inside a door (or with
//   the doors closed).
// Errors: `type` is MPI_DATATYPE_NULL of the lower half when it cannot be made.
// Source: MPI 3.1 section 4.1.
#pragma once

#include <mpi.h>

#include <climits>
#include <cstddef>

#include "lower_calls.hpp"

namespace ckpt::shim {

class LowerBytes {
 public:
  explicit LowerBytes(std::size_t size)
      : count(static_cast<int>(size)),
        type(static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_BYTE))) {
    if (size <= INT_MAX) return;
    constexpr std::size_t kBlock = 1u << 30;
    const int blocks = static_cast<int>(size / kBlock);
    int lengths[2] = {blocks, static_cast<int>(size % kBlock)};
    MPI_Aint places[2] = {0, static_cast<MPI_Aint>(kBlock) * blocks};
    MPI_Datatype kinds[2] = {type, type};
    const MPI_Datatype byte = type;
    lower::Type_contiguous(static_cast<int>(kBlock), byte, &kinds[0]);
    lower::Type_create_struct(2, lengths, places, kinds, &type);
    lower::Type_commit(&type);
    lower::Type_free(&kinds[0]);
    count = 1;
    made_ = true;
  }
  ~LowerBytes() {
    if (made_) lower::Type_free(&type);
  }
  LowerBytes(const LowerBytes&) = delete;
  LowerBytes& operator=(const LowerBytes&) = delete;

  int count;
  MPI_Datatype type;

 private:
  bool made_ = false;
};

}  // namespace ckpt::shim
