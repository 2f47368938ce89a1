// MPI_Type_* that make, commit and free datatypes.
#include <map>
#include <numeric>
#include <utility>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/objects/type_tree.hpp"

namespace ckpt::shim {

namespace {

Datatype* checked(MPI_Datatype type) {
  Handle* handle = handle_of(type);
  if (!handle || handle->kind != HandleKind::datatype) return nullptr;
  return static_cast<Datatype*>(handle->state);
}

int bad_type(const char* function) { return raise_error(kNoHandle, MPI_ERR_TYPE, function); }

// A record with its members' references; no lower handle yet.
Datatype* new_record(int combiner, std::vector<int> ints, std::vector<MPI_Aint> aints,
                     std::vector<Datatype*> members) {
  auto* type = new Datatype;
  type->own.kind = HandleKind::datatype;
  type->own.state = type;
  type->handle = &type->own;
  type->combiner = combiner;
  type->ints = std::move(ints);
  type->aints = std::move(aints);
  type->members = std::move(members);
  for (Datatype* member : type->members) retain(member);
  return type;
}

void drop_record(Datatype* type) {
  for (Datatype* member : type->members) release(member);
  delete type;
}

int make(int combiner, std::vector<int> ints, std::vector<MPI_Aint> aints,
         std::vector<Datatype*> members, MPI_Datatype* newtype, const char* function) {
  for (const Datatype* member : members)
    if (!member) return bad_type(function);
  Datatype* type = new_record(combiner, std::move(ints), std::move(aints), std::move(members));
  int code;
  {
    Door door(function);
    code = build_lower(*type);
    if (code == MPI_SUCCESS) measure(*type);
  }
  if (code != MPI_SUCCESS) {
    drop_record(type);
    return raise_error(kNoHandle, code, function);
  }
  {
    ObjectsLock lock(objects_mutex());
    enlist(tables().datatypes, type);
    tables().upper_datatypes[type->handle->lower] = type->handle;
  }
  *newtype = reinterpret_cast<MPI_Datatype>(type->handle);
  return MPI_SUCCESS;
}

std::vector<int> counted(int count, std::initializer_list<const int*> lists) {
  std::vector<int> ints = {count};
  for (const int* list : lists) ints.insert(ints.end(), list, list + count);
  return ints;
}

// MPI_Type_create_f90_*: one datatype for equal arguments, never freed.
int parametrised(int combiner, std::vector<int> ints, MPI_Datatype* newtype, const char* function) {
  static auto& known = *new std::map<std::pair<int, std::vector<int>>, MPI_Datatype>;
  const auto key = std::make_pair(combiner, ints);
  {
    ObjectsLock lock(objects_mutex());
    if (const auto found = known.find(key); found != known.end()) {
      *newtype = found->second;
      return MPI_SUCCESS;
    }
  }
  const int code = make(combiner, std::move(ints), {}, {}, newtype, function);
  if (code != MPI_SUCCESS) return code;
  checked(*newtype)->committed = true;
  ObjectsLock lock(objects_mutex());
  known.emplace(key, *newtype);
  return MPI_SUCCESS;
}

bool is_freeable(const Datatype& type) {
  return !is_predefined(type.handle) && type.combiner != MPI_COMBINER_F90_REAL &&
         type.combiner != MPI_COMBINER_F90_COMPLEX && type.combiner != MPI_COMBINER_F90_INTEGER;
}

}  // namespace

void release(Datatype* type) {
  if (is_predefined(type->handle) || !drop_reference(type->handle)) return;
  forget_fortran(type->handle);
  {
    Door door("MPI_Type_free");
    {
      // Before the lower half can use the address again.
      ObjectsLock lock(objects_mutex());
      delist(tables().datatypes, type);
      tables().upper_datatypes.erase(type->handle->lower);
    }
    auto lower = static_cast<MPI_Datatype>(type->handle->lower);
    if (lower) lower::Type_free(&lower);
  }
  drop_record(type);
}

namespace calls {

int Type_contiguous(int count, MPI_Datatype oldtype, MPI_Datatype* newtype) {
  return make(MPI_COMBINER_CONTIGUOUS, {count}, {}, {checked(oldtype)}, newtype,
              "MPI_Type_contiguous");
}

int Type_vector(int count, int blocklength, int stride, MPI_Datatype oldtype,
                MPI_Datatype* newtype) {
  return make(MPI_COMBINER_VECTOR, {count, blocklength, stride}, {}, {checked(oldtype)}, newtype,
              "MPI_Type_vector");
}

int Type_create_hvector(int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype,
                        MPI_Datatype* newtype) {
  return make(MPI_COMBINER_HVECTOR, {count, blocklength}, {stride}, {checked(oldtype)}, newtype,
              "MPI_Type_create_hvector");
}

int Type_hvector(int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype,
                 MPI_Datatype* newtype) {
  return make(MPI_COMBINER_HVECTOR, {count, blocklength}, {stride}, {checked(oldtype)}, newtype,
              "MPI_Type_hvector");
}

int Type_indexed(int count, const int blocklengths[], const int displacements[],
                 MPI_Datatype oldtype, MPI_Datatype* newtype) {
  if (count < 0) return raise_error(kNoHandle, MPI_ERR_COUNT, "MPI_Type_indexed");
  return make(MPI_COMBINER_INDEXED, counted(count, {blocklengths, displacements}), {},
              {checked(oldtype)}, newtype, "MPI_Type_indexed");
}

static int hindexed(int count, const int blocklengths[], const MPI_Aint displacements[],
                    MPI_Datatype oldtype, MPI_Datatype* newtype, const char* function) {
  if (count < 0) return raise_error(kNoHandle, MPI_ERR_COUNT, function);
  return make(MPI_COMBINER_HINDEXED, counted(count, {blocklengths}),
              {displacements, displacements + count}, {checked(oldtype)}, newtype, function);
}

int Type_create_hindexed(int count, const int blocklengths[], const MPI_Aint displacements[],
                         MPI_Datatype oldtype, MPI_Datatype* newtype) {
  return hindexed(count, blocklengths, displacements, oldtype, newtype, "MPI_Type_create_hindexed");
}

int Type_hindexed(int count, int blocklengths[], MPI_Aint displacements[], MPI_Datatype oldtype,
                  MPI_Datatype* newtype) {
  return hindexed(count, blocklengths, displacements, oldtype, newtype, "MPI_Type_hindexed");
}

int Type_create_indexed_block(int count, int blocklength, const int displacements[],
                              MPI_Datatype oldtype, MPI_Datatype* newtype) {
  if (count < 0) return raise_error(kNoHandle, MPI_ERR_COUNT, "MPI_Type_create_indexed_block");
  std::vector<int> ints = {count, blocklength};
  ints.insert(ints.end(), displacements, displacements + count);
  return make(MPI_COMBINER_INDEXED_BLOCK, std::move(ints), {}, {checked(oldtype)}, newtype,
              "MPI_Type_create_indexed_block");
}

int Type_create_hindexed_block(int count, int blocklength, const MPI_Aint displacements[],
                               MPI_Datatype oldtype, MPI_Datatype* newtype) {
  if (count < 0) return raise_error(kNoHandle, MPI_ERR_COUNT, "MPI_Type_create_hindexed_block");
  return make(MPI_COMBINER_HINDEXED_BLOCK, {count, blocklength},
              {displacements, displacements + count}, {checked(oldtype)}, newtype,
              "MPI_Type_create_hindexed_block");
}

static int structure(int count, const int blocklengths[], const MPI_Aint displacements[],
                     const MPI_Datatype types[], MPI_Datatype* newtype, const char* function) {
  if (count < 0) return raise_error(kNoHandle, MPI_ERR_COUNT, function);
  std::vector<Datatype*> members;
  for (int i = 0; i < count; ++i) members.push_back(checked(types[i]));
  return make(MPI_COMBINER_STRUCT, counted(count, {blocklengths}),
              {displacements, displacements + count}, std::move(members), newtype, function);
}

int Type_create_struct(int count, const int blocklengths[], const MPI_Aint displacements[],
                       const MPI_Datatype types[], MPI_Datatype* newtype) {
  return structure(count, blocklengths, displacements, types, newtype, "MPI_Type_create_struct");
}

int Type_struct(int count, int blocklengths[], MPI_Aint displacements[], MPI_Datatype types[],
                MPI_Datatype* newtype) {
  return structure(count, blocklengths, displacements, types, newtype, "MPI_Type_struct");
}

int Type_create_subarray(int ndims, const int sizes[], const int subsizes[], const int starts[],
                         int order, MPI_Datatype oldtype, MPI_Datatype* newtype) {
  if (ndims < 0) return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Type_create_subarray");
  std::vector<int> ints = counted(ndims, {sizes, subsizes, starts});
  ints.push_back(order);
  return make(MPI_COMBINER_SUBARRAY, std::move(ints), {}, {checked(oldtype)}, newtype,
              "MPI_Type_create_subarray");
}

int Type_create_darray(int size, int rank, int ndims, const int gsizes[], const int distribs[],
                       const int dargs[], const int psizes[], int order, MPI_Datatype oldtype,
                       MPI_Datatype* newtype) {
  if (ndims < 1) return raise_error(kNoHandle, MPI_ERR_COUNT, "MPI_Type_create_darray");
  std::vector<int> ints = {size, rank};
  const std::vector<int> rest = counted(ndims, {gsizes, distribs, dargs, psizes});
  ints.insert(ints.end(), rest.begin(), rest.end());
  ints.push_back(order);
  return make(MPI_COMBINER_DARRAY, std::move(ints), {}, {checked(oldtype)}, newtype,
              "MPI_Type_create_darray");
}

int Type_create_resized(MPI_Datatype oldtype, MPI_Aint lb, MPI_Aint extent, MPI_Datatype* newtype) {
  return make(MPI_COMBINER_RESIZED, {}, {lb, extent}, {checked(oldtype)}, newtype,
              "MPI_Type_create_resized");
}

int Type_create_f90_real(int p, int r, MPI_Datatype* newtype) {
  return parametrised(MPI_COMBINER_F90_REAL, {p, r}, newtype, "MPI_Type_create_f90_real");
}

int Type_create_f90_complex(int p, int r, MPI_Datatype* newtype) {
  return parametrised(MPI_COMBINER_F90_COMPLEX, {p, r}, newtype, "MPI_Type_create_f90_complex");
}

int Type_create_f90_integer(int r, MPI_Datatype* newtype) {
  return parametrised(MPI_COMBINER_F90_INTEGER, {r}, newtype, "MPI_Type_create_f90_integer");
}

int Type_dup(MPI_Datatype type, MPI_Datatype* newtype) {
  Datatype* old = checked(type);
  if (const int code = make(MPI_COMBINER_DUP, {}, {}, {old}, newtype, "MPI_Type_dup")) return code;
  Datatype* made = checked(*newtype);
  made->committed = old->committed;
  made->name = old->name;
  const int code = copy_attributes(*old, *made);
  if (code == MPI_SUCCESS) return code;
  release(made);
  *newtype = predefined<MPI_Datatype>(CKPT_HANDLE_MPI_DATATYPE_NULL);
  return raise_error(kNoHandle, code, "MPI_Type_dup");
}

int Type_commit(MPI_Datatype* type) {
  Datatype* state = checked(*type);
  if (!state) return bad_type("MPI_Type_commit");
  if (state->committed) return MPI_SUCCESS;
  int code;
  {
    Door door("MPI_Type_commit");
    auto lower = static_cast<MPI_Datatype>(state->handle->lower);
    code = lower::Type_commit(&lower);
    state->committed = code == MPI_SUCCESS;
  }
  return raise_error(kNoHandle, code, "MPI_Type_commit");
}

int Type_free(MPI_Datatype* type) {
  Datatype* state = checked(*type);
  if (!state || !is_freeable(*state)) return bad_type("MPI_Type_free");
  if (const int code = delete_attributes(*state); code != MPI_SUCCESS)
    return raise_error(kNoHandle, code, "MPI_Type_free");
  release(state);
  *type = predefined<MPI_Datatype>(CKPT_HANDLE_MPI_DATATYPE_NULL);
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
