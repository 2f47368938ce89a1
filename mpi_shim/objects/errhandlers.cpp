// Error handlers: objects, and which one an object uses.
#include "calls.hpp"
#include "mpi_shim/lowering.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/errors.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

namespace {

Errhandler* g_file_errhandler = nullptr;  // of MPI_FILE_NULL; nullptr: MPI_ERRORS_RETURN

MPI_Errhandler handle_of_errhandler(Errhandler* errhandler) {
  return reinterpret_cast<MPI_Errhandler>(errhandler->handle);
}

Errhandler* errhandler_of(MPI_Errhandler handle) {
  Handle* record = handle_of(handle);
  if (!record || record->kind != HandleKind::errhandler) return nullptr;
  return static_cast<Errhandler*>(record->state);
}

void replace(Errhandler*& place, Errhandler* with) {
  Errhandler* before;
  {
    ObjectsLock lock(objects_mutex());
    before = place;
    place = share(with);
  }
  if (before) release(before);
}

}  // namespace

Errhandler* share(Errhandler* errhandler) {
  if (!is_predefined(errhandler->handle)) retain(errhandler->handle);
  return errhandler;
}

void release(Errhandler* errhandler) {
  if (is_predefined(errhandler->handle) || !drop_reference(errhandler->handle)) return;
  forget_fortran(errhandler->handle);
  delete errhandler;
}

Errhandler* new_errhandler(Errhandler::Kind kind, void (*function)(), bool fortran) {
  auto* errhandler = new Errhandler;
  errhandler->handle = &errhandler->own;
  errhandler->own.kind = HandleKind::errhandler;
  errhandler->own.state = errhandler;
  errhandler->behaviour = kind;
  errhandler->fortran = fortran;
  errhandler->function = function;
  return errhandler;
}

const Errhandler* file_errhandler() {
  if (g_file_errhandler) return g_file_errhandler;
  return errhandler_of(predefined<MPI_Errhandler>(CKPT_HANDLE_MPI_ERRORS_RETURN));
}

namespace calls {

int Comm_create_errhandler(MPI_Comm_errhandler_function* function, MPI_Errhandler* errhandler) {
  *errhandler = handle_of_errhandler(new_errhandler(Errhandler::Kind::comm_function,
                                                    reinterpret_cast<void (*)()>(function), false));
  return MPI_SUCCESS;
}

int Win_create_errhandler(MPI_Win_errhandler_function* function, MPI_Errhandler* errhandler) {
  *errhandler = handle_of_errhandler(new_errhandler(Errhandler::Kind::win_function,
                                                    reinterpret_cast<void (*)()>(function), false));
  return MPI_SUCCESS;
}

int File_create_errhandler(MPI_File_errhandler_function* function, MPI_Errhandler* errhandler) {
  *errhandler = handle_of_errhandler(new_errhandler(Errhandler::Kind::file_function,
                                                    reinterpret_cast<void (*)()>(function), false));
  return MPI_SUCCESS;
}

int Errhandler_create(MPI_Comm_errhandler_function* function, MPI_Errhandler* errhandler) {
  return Comm_create_errhandler(function, errhandler);
}

int Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler errhandler) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_set_errhandler");
  Errhandler* with = errhandler_of(errhandler);
  const bool fits = with && with->behaviour != Errhandler::Kind::win_function &&
                    with->behaviour != Errhandler::Kind::file_function;
  if (!fits) return raise_error(comm, MPI_ERR_ARG, "MPI_Comm_set_errhandler");
  replace(state->errhandler, with);
  return MPI_SUCCESS;
}

int Errhandler_set(MPI_Comm comm, MPI_Errhandler errhandler) {
  return Comm_set_errhandler(comm, errhandler);
}

int Comm_get_errhandler(MPI_Comm comm, MPI_Errhandler* errhandler) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_get_errhandler");
  *errhandler = handle_of_errhandler(share(state->errhandler));
  return MPI_SUCCESS;
}

int Errhandler_get(MPI_Comm comm, MPI_Errhandler* errhandler) {
  return Comm_get_errhandler(comm, errhandler);
}

int Errhandler_free(MPI_Errhandler* errhandler) {
  Errhandler* state = errhandler_of(*errhandler);
  if (!state) return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Errhandler_free");
  release(state);
  *errhandler = predefined<MPI_Errhandler>(CKPT_HANDLE_MPI_ERRHANDLER_NULL);
  return MPI_SUCCESS;
}

int Comm_call_errhandler(MPI_Comm comm, int errorcode) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_call_errhandler");
  raise_error(comm, errorcode, "MPI_Comm_call_errhandler");
  return MPI_SUCCESS;
}

int File_set_errhandler(MPI_File file, MPI_Errhandler errhandler) {
  Errhandler* with = errhandler_of(errhandler);
  const bool null_file = file == predefined<MPI_File>(CKPT_HANDLE_MPI_FILE_NULL);
  if (!null_file || !with) return raise_error(kNoHandle, MPI_ERR_FILE, "MPI_File_set_errhandler");
  replace(g_file_errhandler, with);
  return MPI_SUCCESS;
}

int File_get_errhandler(MPI_File file, MPI_Errhandler* errhandler) {
  if (file != predefined<MPI_File>(CKPT_HANDLE_MPI_FILE_NULL))
    return raise_error(kNoHandle, MPI_ERR_FILE, "MPI_File_get_errhandler");
  *errhandler = handle_of_errhandler(share(const_cast<Errhandler*>(file_errhandler())));
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
