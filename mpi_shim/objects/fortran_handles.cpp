// MPI_*_c2f and MPI_*_f2c: handles by number, statuses by copy.
#include <cstring>

#include "calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/program_library.hpp"

namespace ckpt::shim {

namespace {

// As Open MPI: -1 for what is no handle of the kind, a null pointer back.
template <typename T>
int to_fortran(T handle, HandleKind kind) {
  Handle* record = handle_of(handle);
  return record && record->kind == kind ? fortran_number(record) : -1;
}

template <typename T>
T to_c(HandleKind kind, int number) {
  return reinterpret_cast<T>(handle_of_fortran(kind, number));
}

bool is_ignored(const MPI_Fint* status) {
  static auto** const ignore = static_cast<MPI_Fint**>(find_program_symbol("MPI_F_STATUS_IGNORE"));
  static auto** const ignore_all =
      static_cast<MPI_Fint**>(find_program_symbol("MPI_F_STATUSES_IGNORE"));
  return !status || (ignore && status == *ignore) || (ignore_all && status == *ignore_all);
}

}  // namespace

namespace calls {

int Comm_c2f(MPI_Comm comm) { return to_fortran(comm, HandleKind::communicator); }
MPI_Comm Comm_f2c(int comm) { return to_c<MPI_Comm>(HandleKind::communicator, comm); }
int Group_c2f(MPI_Group group) { return to_fortran(group, HandleKind::group); }
MPI_Group Group_f2c(int group) { return to_c<MPI_Group>(HandleKind::group, group); }
int Type_c2f(MPI_Datatype datatype) { return to_fortran(datatype, HandleKind::datatype); }
MPI_Datatype Type_f2c(int datatype) { return to_c<MPI_Datatype>(HandleKind::datatype, datatype); }
int Op_c2f(MPI_Op op) { return to_fortran(op, HandleKind::op); }
MPI_Op Op_f2c(int op) { return to_c<MPI_Op>(HandleKind::op, op); }
int Request_c2f(MPI_Request request) { return to_fortran(request, HandleKind::request); }
MPI_Request Request_f2c(int request) { return to_c<MPI_Request>(HandleKind::request, request); }
int Message_c2f(MPI_Message message) { return to_fortran(message, HandleKind::message); }
MPI_Message Message_f2c(int message) { return to_c<MPI_Message>(HandleKind::message, message); }
int Info_c2f(MPI_Info info) { return to_fortran(info, HandleKind::info); }
MPI_Info Info_f2c(int info) { return to_c<MPI_Info>(HandleKind::info, info); }
int Errhandler_c2f(MPI_Errhandler handler) { return to_fortran(handler, HandleKind::errhandler); }
MPI_Errhandler Errhandler_f2c(int handler) {
  return to_c<MPI_Errhandler>(HandleKind::errhandler, handler);
}
int Win_c2f(MPI_Win win) { return to_fortran(win, HandleKind::win); }
MPI_Win Win_f2c(int win) { return to_c<MPI_Win>(HandleKind::win, win); }
int File_c2f(MPI_File file) { return to_fortran(file, HandleKind::file); }
MPI_File File_f2c(int file) { return to_c<MPI_File>(HandleKind::file, file); }

// A status has one layout in both languages: the public members, then the rest.
int Status_c2f(const MPI_Status* c_status, MPI_Fint* f_status) {
  if (c_status == MPI_STATUS_IGNORE || is_ignored(f_status))
    return raise_error(kNoHandle, MPI_ERR_IN_STATUS, "MPI_Status_c2f");
  std::memcpy(f_status, c_status, sizeof *c_status);
  return MPI_SUCCESS;
}

int Status_f2c(const MPI_Fint* f_status, MPI_Status* c_status) {
  if (c_status == MPI_STATUS_IGNORE || is_ignored(f_status))
    return raise_error(kNoHandle, MPI_ERR_IN_STATUS, "MPI_Status_f2c");
  std::memcpy(c_status, f_status, sizeof *c_status);
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
