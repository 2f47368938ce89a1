// Errors: MPI_Error_*, MPI_Add_error_*, and the way through error handlers.
#include "mpi_shim/objects/errors.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <map>
#include <mutex>

#include "calls.hpp"
#include "format/posix/host_name.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/lowering.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/outside_mpi.hpp"

namespace ckpt::shim {

namespace {

constexpr int kFirstFreeCode = MPI_ERR_LASTCODE + 1;

struct UserCode {
  int error_class;
  std::string text;
};

struct ErrorTables {
  std::array<std::string, kFirstFreeCode> predefined;
  std::map<int, UserCode> added;
  int last_used = MPI_ERR_LASTCODE;
};

ErrorTables& error_tables() {
  static ErrorTables* const all = new ErrorTables;
  return *all;
}

int add_code(int error_class) {
  int code;
  {
    ObjectsLock lock(objects_mutex());
    ErrorTables& all = error_tables();
    code = ++all.last_used;
    all.added[code] = {error_class < 0 ? code : error_class, ""};
  }
  update_last_used_code(code);
  return code;
}

std::string short_host_name() {
  const std::string host = host_name();
  return host.substr(0, host.find('.'));
}

std::string describe(const Handle* handle) {
  if (handle->kind == HandleKind::file) return "on file MPI_FILE_NULL";
  const auto* comm = static_cast<const Communicator*>(handle->state);
  if (!comm) return "on a NULL communicator";
  if (!comm->name.empty()) return "on communicator " + comm->name;
  return "on communicator MPI COMMUNICATOR of " + std::to_string(comm->size) + " processes";
}

[[noreturn]] void end_job(const Handle* handle, int error, const char* function) {
  std::string text;
  if (!error_text(error, text)) text = "unknown error " + std::to_string(error);
  const std::string head = "[" + short_host_name() + ":" + std::to_string(getpid()) + "] *** ";
  const auto* world = communicator(predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_WORLD));
  const std::string message =
      head + "An error occurred in " + function + "\n" + head + "reported by process [" +
      std::to_string(world->rank) + "]\n" + head + describe(handle) + "\n" + head + text + "\n" +
      head + "MPI_ERRORS_ARE_FATAL (processes in this communicator will now abort,\n" + head +
      "   and potentially your MPI job)\n";
  std::fputs(message.c_str(), stderr);
  calls::Abort(predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_WORLD), error);
  _exit(error & 0xff);
}

void call_function(const Errhandler& errhandler, Handle* object, int* error) {
  if (errhandler.fortran) {
    MPI_Fint number = fortran_number(object);
    reinterpret_cast<void (*)(MPI_Fint*, MPI_Fint*)>(errhandler.function)(&number, error);
    return;
  }
  void* handle = object;
  reinterpret_cast<void (*)(void*, int*, ...)>(errhandler.function)(&handle, error, "", nullptr);
}

}  // namespace

void init_error_texts() {
  ErrorTables& all = error_tables();
  for (int code = 0; code < kFirstFreeCode; ++code) {
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    if (lower::Error_string(code, text, &length) == MPI_SUCCESS)
      all.predefined[static_cast<std::size_t>(code)].assign(text, static_cast<std::size_t>(length));
  }
}

int last_used_code() { return error_tables().last_used; }

bool error_text(int code, std::string& text) {
  ObjectsLock lock(objects_mutex());
  const ErrorTables& all = error_tables();
  if (code >= 0 && code < kFirstFreeCode) {
    text = all.predefined[static_cast<std::size_t>(code)];
    return !text.empty();
  }
  const auto found = all.added.find(code);
  if (found == all.added.end()) return false;
  text = found->second.text;
  return true;
}

int raise_error(Handle* object, int error, const char* function) {
  if (error == MPI_SUCCESS) return error;
  if (!g_predefined[0]) called_outside_mpi(function);
  const bool answers = object && object->state && object->kind == HandleKind::communicator;
  const bool of_file = object && object->kind == HandleKind::file;
  Handle* at = answers || of_file ? object : g_predefined[CKPT_HANDLE_MPI_COMM_WORLD];
  const Errhandler* errhandler =
      of_file ? file_errhandler() : static_cast<Communicator*>(at->state)->errhandler;
  switch (errhandler->behaviour) {
    case Errhandler::Kind::returns: return error;
    case Errhandler::Kind::fatal: end_job(at, error, function);
    default: call_function(*errhandler, at, &error); return error;
  }
}

int unsupported(Handle* comm, const char* function) {
  static std::map<std::string, bool>& named = *new std::map<std::string, bool>;
  bool first;
  {
    ObjectsLock lock(objects_mutex());
    first = named.emplace(function, true).second;
  }
  if (first)
    std::fprintf(stderr, "ckpt-coord: %s is not supported in a job that is checkpointed\n",
                 function);
  return raise_error(comm, MPI_ERR_UNSUPPORTED_OPERATION, function);
}

namespace calls {

int Add_error_class(int* errorclass) {
  *errorclass = add_code(-1);
  return MPI_SUCCESS;
}

int Add_error_code(int errorclass, int* errorcode) {
  if (errorclass < 0 || errorclass > last_used_code())
    return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Add_error_code");
  *errorcode = add_code(errorclass);
  return MPI_SUCCESS;
}

int Add_error_string(int errorcode, const char* string) {
  {
    ObjectsLock lock(objects_mutex());
    const auto found = error_tables().added.find(errorcode);
    if (found != error_tables().added.end()) {
      found->second.text.assign(string, 0, MPI_MAX_ERROR_STRING - 1);
      return MPI_SUCCESS;
    }
  }
  return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Add_error_string");
}

int Error_class(int errorcode, int* errorclass) {
  if (errorcode >= 0 && errorcode < kFirstFreeCode) {
    *errorclass = errorcode;
    return MPI_SUCCESS;
  }
  {
    ObjectsLock lock(objects_mutex());
    const auto found = error_tables().added.find(errorcode);
    if (found != error_tables().added.end()) {
      *errorclass = found->second.error_class;
      return MPI_SUCCESS;
    }
  }
  return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Error_class");
}

int Error_string(int errorcode, char* string, int* resultlen) {
  std::string text;
  if (!error_text(errorcode, text)) return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Error_string");
  *resultlen = static_cast<int>(text.copy(string, MPI_MAX_ERROR_STRING - 1));
  string[*resultlen] = '\0';
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
