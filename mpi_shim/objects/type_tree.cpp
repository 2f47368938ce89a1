#include "mpi_shim/objects/type_tree.hpp"

#include <algorithm>

#include "lower_calls.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

namespace {

MPI_Datatype lower_member(const Datatype& type, std::size_t index) {
  return static_cast<MPI_Datatype>(type.members[index]->handle->lower);
}

int build_struct(const Datatype& type, MPI_Datatype* lower) {
  std::vector<MPI_Datatype> members;
  for (std::size_t i = 0; i < type.members.size(); ++i) members.push_back(lower_member(type, i));
  return lower::Type_create_struct(type.ints[0], type.ints.data() + 1, type.aints.data(),
                                   members.data(), lower);
}

int build_subarray(const Datatype& type, MPI_Datatype* lower) {
  const int dims = type.ints[0];
  const int* sizes = type.ints.data() + 1;
  return lower::Type_create_subarray(dims, sizes, sizes + dims, sizes + 2 * dims, type.ints.back(),
                                     lower_member(type, 0), lower);
}

int build_darray(const Datatype& type, MPI_Datatype* lower) {
  const int dims = type.ints[2];
  const int* sizes = type.ints.data() + 3;
  return lower::Type_create_darray(type.ints[0], type.ints[1], dims, sizes, sizes + dims,
                                   sizes + 2 * dims, sizes + 3 * dims, type.ints.back(),
                                   lower_member(type, 0), lower);
}

int construct(const Datatype& type, MPI_Datatype* lower) {
  const auto& ints = type.ints;
  const auto& aints = type.aints;
  switch (type.combiner) {
    case MPI_COMBINER_DUP: return lower::Type_dup(lower_member(type, 0), lower);
    case MPI_COMBINER_CONTIGUOUS:
      return lower::Type_contiguous(ints[0], lower_member(type, 0), lower);
    case MPI_COMBINER_VECTOR:
      return lower::Type_vector(ints[0], ints[1], ints[2], lower_member(type, 0), lower);
    case MPI_COMBINER_HVECTOR:
      return lower::Type_create_hvector(ints[0], ints[1], aints[0], lower_member(type, 0), lower);
    case MPI_COMBINER_INDEXED:
      return lower::Type_indexed(ints[0], ints.data() + 1, ints.data() + 1 + ints[0],
                                 lower_member(type, 0), lower);
    case MPI_COMBINER_HINDEXED:
      return lower::Type_create_hindexed(ints[0], ints.data() + 1, aints.data(),
                                         lower_member(type, 0), lower);
    case MPI_COMBINER_INDEXED_BLOCK:
      return lower::Type_create_indexed_block(ints[0], ints[1], ints.data() + 2,
                                              lower_member(type, 0), lower);
    case MPI_COMBINER_HINDEXED_BLOCK:
      return lower::Type_create_hindexed_block(ints[0], ints[1], aints.data(),
                                               lower_member(type, 0), lower);
    case MPI_COMBINER_STRUCT: return build_struct(type, lower);
    case MPI_COMBINER_SUBARRAY: return build_subarray(type, lower);
    case MPI_COMBINER_DARRAY: return build_darray(type, lower);
    case MPI_COMBINER_RESIZED:
      return lower::Type_create_resized(lower_member(type, 0), aints[0], aints[1], lower);
    case MPI_COMBINER_F90_REAL: return lower::Type_create_f90_real(ints[0], ints[1], lower);
    case MPI_COMBINER_F90_COMPLEX: return lower::Type_create_f90_complex(ints[0], ints[1], lower);
    case MPI_COMBINER_F90_INTEGER: return lower::Type_create_f90_integer(ints[0], lower);
    default: return MPI_ERR_TYPE;
  }
}

bool is_parametrised(int combiner) {
  return combiner == MPI_COMBINER_F90_REAL || combiner == MPI_COMBINER_F90_COMPLEX ||
         combiner == MPI_COMBINER_F90_INTEGER;
}

// How often the index-th member stands in one `type`, one after the other.
MPI_Count repeats(const Datatype& type, std::size_t index) {
  if (type.combiner == MPI_COMBINER_STRUCT) return type.ints[1 + index];
  const MPI_Count size = type.members[0]->size;
  return size == 0 ? 0 : type.size / size;
}

MPI_Count elements_of_one(const Datatype& type) {
  if (type.members.empty()) return type.size == 0 ? 0 : 1;
  MPI_Count elements = 0;
  for (std::size_t i = 0; i < type.members.size(); ++i)
    elements += repeats(type, i) * elements_of_one(*type.members[i]);
  return elements;
}

// Takes up to `count` instances of `type` from `bytes`; false when the bytes end
// within a basic element.
bool take(const Datatype& type, MPI_Count count, MPI_Count& bytes, MPI_Count& elements) {
  if (type.size == 0 || count == 0) return true;
  const MPI_Count whole = std::min(count, bytes / type.size);
  elements += whole * elements_of_one(type);
  bytes -= whole * type.size;
  if (whole == count || bytes == 0) return true;
  if (type.members.empty()) return false;
  for (std::size_t i = 0; i < type.members.size() && bytes > 0; ++i)
    if (!take(*type.members[i], repeats(type, i), bytes, elements)) return false;
  return true;
}

void give(const Datatype& type, MPI_Count count, MPI_Count& elements, MPI_Count& bytes) {
  const MPI_Count each = elements_of_one(type);
  if (each == 0) return;
  const MPI_Count whole = std::min(count, elements / each);
  elements -= whole * each;
  bytes += whole * type.size;
  if (whole == count || elements == 0) return;
  for (std::size_t i = 0; i < type.members.size() && elements > 0; ++i)
    give(*type.members[i], repeats(type, i), elements, bytes);
}

}  // namespace

int build_lower(Datatype& type) {
  MPI_Datatype lower;
  int code = construct(type, &lower);
  if (code != MPI_SUCCESS) return code;
  if (type.committed && !is_parametrised(type.combiner)) code = lower::Type_commit(&lower);
  type.handle->lower = lower;
  return code;
}

int build_lower_tree(Datatype& type) {
  if (type.handle->lower) return MPI_SUCCESS;
  for (Datatype* member : type.members)
    if (const int code = build_lower_tree(*member)) return code;
  return build_lower(type);
}

bool is_contiguous(const Datatype& type) {
  const bool dense = type.lb == 0 && type.true_lb == 0 && type.size == type.extent &&
                     type.size == type.true_extent;
  if (!dense) return false;
  switch (type.combiner) {
    case MPI_COMBINER_NAMED:
    case MPI_COMBINER_F90_REAL:
    case MPI_COMBINER_F90_COMPLEX:
    case MPI_COMBINER_F90_INTEGER: return true;
    case MPI_COMBINER_DUP:
    case MPI_COMBINER_CONTIGUOUS:
    case MPI_COMBINER_VECTOR:
    case MPI_COMBINER_HVECTOR:
    case MPI_COMBINER_RESIZED: return type.members[0]->contiguous;
    default: return false;  // the order of its blocks may be any
  }
}

void measure(Datatype& type) {
  const auto lower = static_cast<MPI_Datatype>(type.handle->lower);
  if (lower::Type_size_x(lower, &type.size) != MPI_SUCCESS) type.size = 0;
  lower::Type_get_extent(lower, &type.lb, &type.extent);
  lower::Type_get_true_extent(lower, &type.true_lb, &type.true_extent);
  type.contiguous = is_contiguous(type);
}

MPI_Count elements_in(const Datatype& type, MPI_Count bytes) {
  if (type.size == 0) return 0;
  MPI_Count elements = 0;
  const bool whole = take(type, bytes / type.size + 1, bytes, elements);
  return whole ? elements : MPI_UNDEFINED;
}

MPI_Count bytes_of_elements(const Datatype& type, MPI_Count elements) {
  const MPI_Count each = elements_of_one(type);
  if (each == 0) return 0;
  MPI_Count bytes = 0;
  give(type, elements / each + 1, elements, bytes);
  return bytes;
}

}  // namespace ckpt::shim
