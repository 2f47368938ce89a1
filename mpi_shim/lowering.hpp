// Arguments of the program as the lower half wants them.
//
// Purpose: checks and translations the generated wrappers share.
// Threads: any; lower handles are read inside a door only.
// Errors: checked() gives nullptr for what is no communicator of the program.
#pragma once

#include <memory>

#include "mpi_shim/handles.hpp"
#include "mpi_shim/lower_table.hpp"

namespace ckpt::shim {

inline Communicator* checked(MPI_Comm comm) {
  Handle* handle = handle_of(comm);
  if (!handle || handle->kind != HandleKind::communicator) [[unlikely]]
    return nullptr;
  return static_cast<Communicator*>(handle->state);
}

// A datatype argument that means something only under a condition (it may be
// anything at all otherwise).
inline MPI_Datatype lower_type_if(bool significant, MPI_Datatype type) {
  if (!significant)
    return static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_DATATYPE_NULL));
  return lower_of(type);
}

// Neighbours of this rank in its Cartesian topology, null ones counted too.
inline int neighbours(const Communicator& comm) {
  return comm.cart ? 2 * static_cast<int>(comm.cart->dims.size()) : 0;
}

// An array of datatypes (the w variants of the collectives).
class LowerTypes {
 public:
  LowerTypes(const MPI_Datatype* types, int count) {
    if (count > kInside) many_ = std::make_unique<MPI_Datatype[]>(static_cast<std::size_t>(count));
    MPI_Datatype* to = many_ ? many_.get() : few_;
    for (int i = 0; i < count; ++i) to[i] = lower_of(types[i]);
  }
  const MPI_Datatype* data() const { return many_ ? many_.get() : few_; }

 private:
  static constexpr int kInside = 64;
  MPI_Datatype few_[kInside];
  std::unique_ptr<MPI_Datatype[]> many_;
};

}  // namespace ckpt::shim
