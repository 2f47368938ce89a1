// MPI_Type_* that ask, and the counts in a status: answered in the upper half.
#include <algorithm>
#include <climits>
#include <cstring>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/objects.hpp"
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

int as_int(MPI_Count value) { return value > INT_MAX ? MPI_UNDEFINED : static_cast<int>(value); }

}  // namespace

namespace calls {

int Type_size(MPI_Datatype type, int* size) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_size");
  *size = as_int(state->size);
  return MPI_SUCCESS;
}

int Type_size_x(MPI_Datatype type, MPI_Count* size) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_size_x");
  *size = state->size;
  return MPI_SUCCESS;
}

int Type_get_extent(MPI_Datatype type, MPI_Aint* lb, MPI_Aint* extent) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_get_extent");
  *lb = state->lb;
  *extent = state->extent;
  return MPI_SUCCESS;
}

int Type_get_extent_x(MPI_Datatype type, MPI_Count* lb, MPI_Count* extent) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_get_extent_x");
  *lb = state->lb;
  *extent = state->extent;
  return MPI_SUCCESS;
}

int Type_get_true_extent(MPI_Datatype type, MPI_Aint* true_lb, MPI_Aint* true_extent) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_get_true_extent");
  *true_lb = state->true_lb;
  *true_extent = state->true_extent;
  return MPI_SUCCESS;
}

int Type_get_true_extent_x(MPI_Datatype type, MPI_Count* true_lb, MPI_Count* true_extent) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_get_true_extent_x");
  *true_lb = state->true_lb;
  *true_extent = state->true_extent;
  return MPI_SUCCESS;
}

int Type_extent(MPI_Datatype type, MPI_Aint* extent) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_extent");
  *extent = state->extent;
  return MPI_SUCCESS;
}

int Type_lb(MPI_Datatype type, MPI_Aint* lb) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_lb");
  *lb = state->lb;
  return MPI_SUCCESS;
}

int Type_ub(MPI_Datatype type, MPI_Aint* ub) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_ub");
  *ub = state->lb + state->extent;
  return MPI_SUCCESS;
}

int Type_set_name(MPI_Datatype type, const char* type_name) {
  Datatype* state = checked(type);
  if (!state || !type_name) return bad_type("MPI_Type_set_name");
  state->name.assign(type_name, strnlen(type_name, MPI_MAX_OBJECT_NAME - 1));
  return MPI_SUCCESS;
}

int Type_get_name(MPI_Datatype type, char* type_name, int* resultlen) {
  const Datatype* state = checked(type);
  if (!state && type != predefined<MPI_Datatype>(CKPT_HANDLE_MPI_DATATYPE_NULL))
    return bad_type("MPI_Type_get_name");
  const std::string name = state ? state->name : "MPI_DATATYPE_NULL";
  std::memcpy(type_name, name.c_str(), name.size() + 1);
  *resultlen = static_cast<int>(name.size());
  return MPI_SUCCESS;
}

int Type_get_envelope(MPI_Datatype type, int* num_integers, int* num_addresses, int* num_datatypes,
                      int* combiner) {
  const Datatype* state = checked(type);
  if (!state) return bad_type("MPI_Type_get_envelope");
  *num_integers = static_cast<int>(state->ints.size());
  *num_addresses = static_cast<int>(state->aints.size());
  *num_datatypes = static_cast<int>(state->members.size());
  *combiner = state->combiner;
  return MPI_SUCCESS;
}

int Type_get_contents(MPI_Datatype type, int max_integers, int max_addresses, int max_datatypes,
                      int array_of_integers[], MPI_Aint array_of_addresses[],
                      MPI_Datatype array_of_datatypes[]) {
  const Datatype* state = checked(type);
  if (!state || state->combiner == MPI_COMBINER_NAMED) return bad_type("MPI_Type_get_contents");
  const bool fits = max_integers >= static_cast<int>(state->ints.size()) &&
                    max_addresses >= static_cast<int>(state->aints.size()) &&
                    max_datatypes >= static_cast<int>(state->members.size());
  if (!fits) return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Type_get_contents");
  std::copy(state->ints.begin(), state->ints.end(), array_of_integers);
  std::copy(state->aints.begin(), state->aints.end(), array_of_addresses);
  for (std::size_t i = 0; i < state->members.size(); ++i) {
    retain(state->members[i]);  // the program frees what it is given
    array_of_datatypes[i] = reinterpret_cast<MPI_Datatype>(state->members[i]->handle);
  }
  return MPI_SUCCESS;
}

int Type_match_size(int typeclass, int size, MPI_Datatype* type) {
  int code;
  Handle* found = nullptr;
  {
    Door door("MPI_Type_match_size");
    MPI_Datatype lower = nullptr;
    code = lower::Type_match_size(typeclass, size, &lower);
    ObjectsLock lock(objects_mutex());
    const auto& upper = tables().upper_datatypes;
    if (const auto entry = upper.find(lower); entry != upper.end()) found = entry->second;
  }
  if (code == MPI_SUCCESS && !found) code = MPI_ERR_ARG;
  if (code != MPI_SUCCESS) return raise_error(kNoHandle, code, "MPI_Type_match_size");
  *type = reinterpret_cast<MPI_Datatype>(found);
  return MPI_SUCCESS;
}

int Get_count(const MPI_Status* status, MPI_Datatype datatype, int* count) {
  const Datatype* type = checked(datatype);
  if (!type) return bad_type("MPI_Get_count");
  const auto bytes = static_cast<MPI_Count>(status->_ucount);
  if (type->size == 0)
    *count = bytes == 0 ? 0 : MPI_UNDEFINED;
  else
    *count = bytes % type->size ? MPI_UNDEFINED : as_int(bytes / type->size);
  return MPI_SUCCESS;
}

int Get_elements_x(const MPI_Status* status, MPI_Datatype datatype, MPI_Count* count) {
  const Datatype* type = checked(datatype);
  if (!type) return bad_type("MPI_Get_elements_x");
  *count = elements_in(*type, static_cast<MPI_Count>(status->_ucount));
  return MPI_SUCCESS;
}

int Get_elements(const MPI_Status* status, MPI_Datatype datatype, int* count) {
  const Datatype* type = checked(datatype);
  if (!type) return bad_type("MPI_Get_elements");
  *count = as_int(elements_in(*type, static_cast<MPI_Count>(status->_ucount)));
  return MPI_SUCCESS;
}

int Status_set_elements_x(MPI_Status* status, MPI_Datatype datatype, MPI_Count count) {
  const Datatype* type = checked(datatype);
  if (!type) return bad_type("MPI_Status_set_elements_x");
  if (status != MPI_STATUS_IGNORE)
    status->_ucount = static_cast<std::size_t>(bytes_of_elements(*type, count));
  return MPI_SUCCESS;
}

int Status_set_elements(MPI_Status* status, MPI_Datatype datatype, int count) {
  return Status_set_elements_x(status, datatype, count);
}

int Status_set_cancelled(MPI_Status* status, int flag) {
  if (status != MPI_STATUS_IGNORE) status->_cancelled = flag;
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
