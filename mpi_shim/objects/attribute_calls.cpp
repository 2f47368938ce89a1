// MPI_Comm_*_attr, MPI_Type_*_attr, keyvals, and the MPI-1 names of the former.
#include "calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"

namespace ckpt::shim {

namespace {

template <typename Copy, typename Delete>
int make_keyval(AttributeOwner owner, Copy* copy, Delete* remove, int* keyval, void* extra_state) {
  Keyval made;
  made.owner = owner;
  made.copy = reinterpret_cast<void (*)()>(copy);
  made.remove = reinterpret_cast<void (*)()>(remove);
  made.extra_state = extra_state;
  *keyval = new_keyval(made);
  return MPI_SUCCESS;
}

int checked_free(AttributeOwner owner, int* keyval, const char* function) {
  return raise_error(kNoHandle, free_keyval(owner, keyval), function);
}

}  // namespace

namespace calls {

int Comm_create_keyval(MPI_Comm_copy_attr_function* comm_copy_attr_fn,
                       MPI_Comm_delete_attr_function* comm_delete_attr_fn, int* comm_keyval,
                       void* extra_state) {
  return make_keyval(AttributeOwner::communicator, comm_copy_attr_fn, comm_delete_attr_fn,
                     comm_keyval, extra_state);
}

int Keyval_create(MPI_Comm_copy_attr_function* copy_fn, MPI_Comm_delete_attr_function* delete_fn,
                  int* keyval, void* extra_state) {
  return make_keyval(AttributeOwner::communicator, copy_fn, delete_fn, keyval, extra_state);
}

int Type_create_keyval(MPI_Type_copy_attr_function* type_copy_attr_fn,
                       MPI_Type_delete_attr_function* type_delete_attr_fn, int* type_keyval,
                       void* extra_state) {
  return make_keyval(AttributeOwner::datatype, type_copy_attr_fn, type_delete_attr_fn, type_keyval,
                     extra_state);
}

int Win_create_keyval(MPI_Win_copy_attr_function* win_copy_attr_fn,
                      MPI_Win_delete_attr_function* win_delete_attr_fn, int* win_keyval,
                      void* extra_state) {
  return make_keyval(AttributeOwner::win, win_copy_attr_fn, win_delete_attr_fn, win_keyval,
                     extra_state);
}

int Comm_free_keyval(int* comm_keyval) {
  return checked_free(AttributeOwner::communicator, comm_keyval, "MPI_Comm_free_keyval");
}

int Keyval_free(int* keyval) {
  return checked_free(AttributeOwner::communicator, keyval, "MPI_Keyval_free");
}

int Type_free_keyval(int* type_keyval) {
  return checked_free(AttributeOwner::datatype, type_keyval, "MPI_Type_free_keyval");
}

int Win_free_keyval(int* win_keyval) {
  return checked_free(AttributeOwner::win, win_keyval, "MPI_Win_free_keyval");
}

int Comm_set_attr(MPI_Comm comm, int comm_keyval, void* attribute_val) {
  const int code = set_attribute(handle_of(comm), comm_keyval, attribute_val, AttributeLanguage::c);
  return raise_error(comm, code, "MPI_Comm_set_attr");
}

int Attr_put(MPI_Comm comm, int keyval, void* attribute_val) {
  const int code = set_attribute(handle_of(comm), keyval, attribute_val, AttributeLanguage::c);
  return raise_error(comm, code, "MPI_Attr_put");
}

int Comm_get_attr(MPI_Comm comm, int comm_keyval, void* attribute_val, int* flag) {
  const int code = get_attribute(handle_of(comm), comm_keyval, AttributeLanguage::c,
                                 static_cast<void**>(attribute_val), flag);
  return raise_error(comm, code, "MPI_Comm_get_attr");
}

int Attr_get(MPI_Comm comm, int keyval, void* attribute_val, int* flag) {
  const int code = get_attribute(handle_of(comm), keyval, AttributeLanguage::c,
                                 static_cast<void**>(attribute_val), flag);
  return raise_error(comm, code, "MPI_Attr_get");
}

int Comm_delete_attr(MPI_Comm comm, int comm_keyval) {
  return raise_error(comm, delete_attribute(handle_of(comm), comm_keyval), "MPI_Comm_delete_attr");
}

int Attr_delete(MPI_Comm comm, int keyval) {
  return raise_error(comm, delete_attribute(handle_of(comm), keyval), "MPI_Attr_delete");
}

int Type_set_attr(MPI_Datatype type, int type_keyval, void* attr_val) {
  const int code = set_attribute(handle_of(type), type_keyval, attr_val, AttributeLanguage::c);
  return raise_error(kNoHandle, code, "MPI_Type_set_attr");
}

int Type_get_attr(MPI_Datatype type, int type_keyval, void* attribute_val, int* flag) {
  const int code = get_attribute(handle_of(type), type_keyval, AttributeLanguage::c,
                                 static_cast<void**>(attribute_val), flag);
  return raise_error(kNoHandle, code, "MPI_Type_get_attr");
}

int Type_delete_attr(MPI_Datatype type, int type_keyval) {
  return raise_error(kNoHandle, delete_attribute(handle_of(type), type_keyval),
                     "MPI_Type_delete_attr");
}

}  // namespace calls

}  // namespace ckpt::shim
