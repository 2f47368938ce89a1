// Functions of libmpi that are no MPI functions, but that its Fortran and C++
// bindings call with handles of the program: defined here with the same names,
// so that a preloaded shim answers them.
//
// Source: symbols libmpi_mpifh.so.40 and libmpi_cxx.so.40 import; Open MPI 4.1
// ompi/attribute/attribute.h, ompi/errhandler/errhandler.h.
#include <cstdint>

#include "calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"
#include "mpi_shim/objects/errors.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/program_library.hpp"

using namespace ckpt::shim;

#define CKPT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// ompi_attribute_type_t
constexpr int kTypeAttribute = 2;
constexpr int kWinAttribute = 3;
// ompi_errhandler_type_t and ompi_errhandler_lang_t
constexpr int kWinErrhandler = 2;
constexpr int kFileErrhandler = 3;
constexpr int kFortranLanguage = 2;
// Kinds of data ompi_datatype_match_size is asked for.
constexpr int kIntegerData = 0x1000;
constexpr int kRealData = 0x2000;

using Function = void (*)();

// The library's own function, for a job that runs natively.
template <typename T>
T own(T, const char* name) {
  return reinterpret_cast<T>(find_next_function(name));
}
#define CKPT_OWN(function) own(&function, #function)

int make_keyval(int type, Function copy, Function remove, int* key, void* extra,
                AttributeLanguage language) {
  Keyval keyval;
  keyval.owner = type == kTypeAttribute  ? AttributeOwner::datatype
                 : type == kWinAttribute ? AttributeOwner::win
                                         : AttributeOwner::communicator;
  keyval.language = language;
  keyval.copy = copy;
  keyval.remove = remove;
  keyval.extra_state = extra;
  *key = new_keyval(keyval);
  return MPI_SUCCESS;
}

void* widened(std::intptr_t value) { return reinterpret_cast<void*>(value); }

int raised(Handle* object, int code, const char* function) {
  const bool comm = object && object->kind == HandleKind::communicator;
  return raise_error(comm ? object : kNoHandle, code, function);
}

}  // namespace

CKPT_EXPORT int ompi_attr_create_keyval_fint(int type, Function copy, Function remove, int* key,
                                             MPI_Fint extra, int flags, void* bindings) {
  if (g_native)
    return CKPT_OWN(ompi_attr_create_keyval_fint)(type, copy, remove, key, extra, flags, bindings);
  return make_keyval(type, copy, remove, key, widened(extra), AttributeLanguage::fortran_integer);
}

CKPT_EXPORT int ompi_attr_create_keyval_aint(int type, Function copy, Function remove, int* key,
                                             MPI_Aint extra, int flags, void* bindings) {
  if (g_native)
    return CKPT_OWN(ompi_attr_create_keyval_aint)(type, copy, remove, key, extra, flags, bindings);
  return make_keyval(type, copy, remove, key, widened(extra), AttributeLanguage::fortran_address);
}

CKPT_EXPORT int ompi_attr_set_fint(int type, void* object, void** hash, int key, MPI_Fint value,
                                   bool predefined_key) {
  if (g_native) return CKPT_OWN(ompi_attr_set_fint)(type, object, hash, key, value, predefined_key);
  auto* handle = static_cast<Handle*>(object);
  const int code = set_attribute(handle, key, widened(value), AttributeLanguage::fortran_integer);
  return raised(handle, code, "MPI_Attr_put");
}

CKPT_EXPORT int ompi_attr_set_aint(int type, void* object, void** hash, int key, MPI_Aint value,
                                   bool predefined_key) {
  if (g_native) return CKPT_OWN(ompi_attr_set_aint)(type, object, hash, key, value, predefined_key);
  auto* handle = static_cast<Handle*>(object);
  const int code = set_attribute(handle, key, widened(value), AttributeLanguage::fortran_address);
  return raised(handle, code, "MPI_Comm_set_attr");
}

// `hash` is what the bindings found in the handle: its own address (handles.hpp).
CKPT_EXPORT int ompi_attr_get_fint(void* hash, int key, MPI_Fint* value, int* flag) {
  if (g_native) return CKPT_OWN(ompi_attr_get_fint)(hash, key, value, flag);
  void* found = nullptr;
  auto* handle = static_cast<Handle*>(hash);
  const int code = get_attribute(handle, key, AttributeLanguage::fortran_integer, &found, flag);
  if (code == MPI_SUCCESS && *flag)
    *value = static_cast<MPI_Fint>(reinterpret_cast<std::intptr_t>(found));
  return raised(handle, code, "MPI_Attr_get");
}

CKPT_EXPORT int ompi_attr_get_aint(void* hash, int key, MPI_Aint* value, int* flag) {
  if (g_native) return CKPT_OWN(ompi_attr_get_aint)(hash, key, value, flag);
  void* found = nullptr;
  auto* handle = static_cast<Handle*>(hash);
  const int code = get_attribute(handle, key, AttributeLanguage::fortran_address, &found, flag);
  if (code == MPI_SUCCESS && *flag) *value = reinterpret_cast<MPI_Aint>(found);
  return raised(handle, code, "MPI_Comm_get_attr");
}

CKPT_EXPORT void* ompi_errhandler_create(int type, Function function, int language) {
  if (g_native) return CKPT_OWN(ompi_errhandler_create)(type, function, language);
  const auto kind = type == kWinErrhandler    ? Errhandler::Kind::win_function
                    : type == kFileErrhandler ? Errhandler::Kind::file_function
                                              : Errhandler::Kind::comm_function;
  return new_errhandler(kind, function, language == kFortranLanguage)->handle;
}

CKPT_EXPORT int ompi_errhandler_invoke(void* errhandler, void* object, int type, int code,
                                       const char* message) {
  if (g_native) return CKPT_OWN(ompi_errhandler_invoke)(errhandler, object, type, code, message);
  return raised(static_cast<Handle*>(object), code, message);
}

CKPT_EXPORT const void* ompi_datatype_match_size(int size, std::uint16_t kind,
                                                 std::uint16_t language) {
  if (g_native) return CKPT_OWN(ompi_datatype_match_size)(size, kind, language);
  const int wanted = kind == kIntegerData ? MPI_TYPECLASS_INTEGER
                     : kind == kRealData  ? MPI_TYPECLASS_REAL
                                          : MPI_TYPECLASS_COMPLEX;
  MPI_Datatype type = predefined<MPI_Datatype>(CKPT_HANDLE_MPI_DATATYPE_NULL);
  calls::Type_match_size(wanted, size, &type);
  return type;
}

CKPT_EXPORT void ompi_op_set_cxx_callback(MPI_Op handle, MPI_User_function* function) {
  if (g_native) return CKPT_OWN(ompi_op_set_cxx_callback)(handle, function);
  op(handle)->cxx_function = reinterpret_cast<void*>(function);
}
