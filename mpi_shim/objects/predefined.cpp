// The predefined handles: written into the data symbols of the program's libmpi.
#include "mpi_shim/predefined.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "lower_calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"
#include "mpi_shim/objects/communicators.hpp"
#include "mpi_shim/objects/errors.hpp"
#include "mpi_shim/objects/info.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/objects/type_tree.hpp"
#include "mpi_shim/program_library.hpp"

namespace ckpt::shim {

namespace {

// As much memory as the library keeps for each predefined object, at least.
constexpr std::size_t kPredefinedSize = 0x600;

void* new_state(HandleKind kind, ckpt_predefined which, Handle* handle) {
  switch (kind) {
    case HandleKind::communicator: {
      if (which == CKPT_HANDLE_MPI_COMM_NULL) return nullptr;
      auto* comm = new Communicator;
      comm->handle = handle;
      return comm;
    }
    case HandleKind::group: {
      if (which == CKPT_HANDLE_MPI_GROUP_NULL) return nullptr;
      auto* group = new Group;
      group->handle = handle;
      return group;
    }
    case HandleKind::datatype: {
      if (which == CKPT_HANDLE_MPI_DATATYPE_NULL) return nullptr;
      auto* type = new Datatype;
      type->handle = handle;
      type->committed = true;
      return type;
    }
    case HandleKind::op: {
      if (which == CKPT_HANDLE_MPI_OP_NULL) return nullptr;
      auto* op = new Op;
      op->handle = handle;
      return op;
    }
    case HandleKind::errhandler: {
      if (which == CKPT_HANDLE_MPI_ERRHANDLER_NULL) return nullptr;
      auto* errhandler = new Errhandler;
      errhandler->handle = handle;
      errhandler->behaviour = which == CKPT_HANDLE_MPI_ERRORS_RETURN ? Errhandler::Kind::returns
                                                                     : Errhandler::Kind::fatal;
      return errhandler;
    }
    case HandleKind::info: {
      if (which == CKPT_HANDLE_MPI_INFO_NULL) return nullptr;
      return new Info;
    }
    default: return nullptr;
  }
}

void make_predefined(ckpt_predefined which) {
  const PredefinedRow& row = g_predefined_rows[which];
  void* memory = find_program_symbol(row.symbol);
  if (!memory) memory = std::calloc(1, kPredefinedSize);  // a process without a libmpi
  auto* handle = new (memory) Handle;
  handle->kind = row.kind;
  handle->predefined = which;
  handle->state = new_state(row.kind, which, handle);
  // The words that Open MPI's Fortran library takes for attribute tables.
  auto* bytes = static_cast<unsigned char*>(memory);
  if (row.kind == HandleKind::communicator)
    std::memcpy(bytes + kCommAttributesOffset, &handle, sizeof handle);
  if (row.kind == HandleKind::datatype)
    std::memcpy(bytes + kTypeAttributesOffset, &handle, sizeof handle);
  g_predefined[which] = handle;
  if (row.fortran >= 0) set_fortran_number(handle, row.fortran);
}

// What the lower half knows of a predefined datatype.
void describe(Datatype& type) {
  auto lower = static_cast<MPI_Datatype>(type.handle->lower);
  char name[MPI_MAX_OBJECT_NAME] = {};
  int length = 0;
  lower::Type_get_name(lower, name, &length);
  type.name.assign(name, static_cast<std::size_t>(length));
  measure(type);
}

void set_library_state() {
  // What Open MPI's Fortran library looks at before it calls: 2 is "initialised".
  if (auto* state = static_cast<volatile int*>(find_program_symbol("ompi_mpi_state"))) *state = 2;
}

}  // namespace

void take_lower_predefined() {
  ObjectsLock lock(objects_mutex());
  auto& upper = tables().upper_datatypes;
  for (int i = 0; i < CKPT_PREDEFINED_COUNT; ++i) {
    Handle* handle = g_predefined[i];
    handle->lower = lower_predefined(static_cast<ckpt_predefined>(i));
    if (handle->kind == HandleKind::datatype) upper[handle->lower] = handle;
  }
  const auto returns = static_cast<MPI_Errhandler>(lower_predefined(CKPT_HANDLE_MPI_ERRORS_RETURN));
  lower::Comm_set_errhandler(static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD)),
                             returns);
  lower::Comm_set_errhandler(static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_SELF)),
                             returns);
}

void prepare_predefined_handles() {
  static bool prepared = false;
  if (prepared) return;
  prepared = true;
  for (int i = 0; i < CKPT_PREDEFINED_COUNT; ++i) make_predefined(static_cast<ckpt_predefined>(i));
}

void init_objects(bool thread_multiple) {
  g_thread_multiple = thread_multiple;
  prepare_predefined_handles();
  set_library_state();
  take_lower_predefined();
  for (Handle* handle : g_predefined)
    if (handle->kind == HandleKind::datatype && handle->state)
      describe(*static_cast<Datatype*>(handle->state));
  for (Handle* handle : g_predefined)
    if (handle->kind == HandleKind::op && handle->state) {
      int commutes = 1;
      lower::Op_commutative(static_cast<MPI_Op>(handle->lower), &commutes);
      static_cast<Op*>(handle->state)->commutes = commutes != 0;
    }
  init_error_texts();
  init_communicators();
  init_info_env();
  init_predefined_attributes();
}

}  // namespace ckpt::shim
