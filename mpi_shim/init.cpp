// MPI_Init to MPI_Finalize: loads the lower half, or lets the job run natively.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "calls.hpp"
#include "format/posix/cache_directory.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/cut_state.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/farewells.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/outside_mpi.hpp"
#include "mpi_shim/parts_directory.hpp"
#include "mpi_shim/private_comms.hpp"
#include "mpi_shim/program_library.hpp"
#include "mpi_shim/shim_thread.hpp"

extern char** environ;

namespace ckpt::shim {

ckpt_restart_block g_restart_block = {CKPT_RESTART_BLOCK_MAGIC, 0, 0, nullptr, 0, {}, {}};
std::uint64_t* g_sent = nullptr;
std::uint64_t* g_received = nullptr;

namespace {

enum class Life { before, initialized, finalized };

Life g_life = Life::before;
int g_promised_level = MPI_THREAD_SINGLE;
pthread_t g_main_thread;

bool load_lower_half(char** argv, bool thread_multiple) {
  static char* fallback[] = {program_invocation_name, nullptr};
  const std::string parts = parts_directory();
  const std::string cache = cache_directory();
  ckpt_lower_request request = {};
  request.parts_dir = parts.c_str();
  request.cache_dir = cache.c_str();
  request.argv = argv ? argv : fallback;
  request.envp = environ;
  request.thread_multiple = thread_multiple ? 1 : 0;
  ckpt_lower_table* table = nullptr;
  ckpt_lower_error error = {};
  const int code = ckpt_lower_load(&request, &table, &error);
  if (code == 0 && table->init_error == MPI_SUCCESS) {
    use_lower_table(table);
    g_restart_block.lower_table = table;  // a snapshot reads the thread level there
    return true;
  }
  const char* wish = std::getenv("CKPT_ON_UNSUPPORTED");
  const bool natively = wish && std::strcmp(wish, "native") == 0 && code != 0;
  const char* rank = std::getenv("PMIX_RANK");
  if (code == 0)
    std::snprintf(error.text, sizeof error.text, "MPI_Init in the lower half: error %d",
                  table->init_error);
  if (!rank || std::strcmp(rank, "0") == 0 || !natively)
    std::fprintf(stderr, "ckpt-coord: rank %s: cannot load the lower half: %s%s\n",
                 rank ? rank : "?", error.text,
                 natively ? "; the job runs without checkpoints" : "");
  if (!natively) std::exit(1);
  return false;
}

void make_markers() {
  const auto size = static_cast<std::size_t>(g_lower->world_size);
  g_sent = static_cast<std::uint64_t*>(std::calloc(size, sizeof *g_sent));
  g_received = static_cast<std::uint64_t*>(std::calloc(size, sizeof *g_received));
}

void attach_main_thread() {
  ThreadState* self = register_thread();
  self->main = true;
  self->gate = current_epoch() << 2;
  g_main_thread = pthread_self();
}

int initialise(int* argc, char*** argv, int required, int* provided, const char* function) {
  const char* socket = std::getenv("CKPT_AGENT_SOCKET");
  if (g_life != Life::before) return raise_error(nullptr, MPI_ERR_OTHER, function);
  const bool thread_multiple = required == MPI_THREAD_MULTIPLE;
  if (!socket || !load_lower_half(argv ? *argv : nullptr, thread_multiple)) {
    go_native();
    return program_function<int (*)(int*, char***, int, int*)>(CKPT_MPI_Init_thread)(
        argc, argv, required, provided);
  }
  g_promised_level = required;
  if (g_promised_level < MPI_THREAD_SINGLE) g_promised_level = MPI_THREAD_SINGLE;
  if (g_promised_level > MPI_THREAD_MULTIPLE) g_promised_level = MPI_THREAD_MULTIPLE;
  if (thread_multiple && g_lower->provided != MPI_THREAD_MULTIPLE)
    g_promised_level = MPI_THREAD_SERIALIZED;
  *provided = g_promised_level;
  attach_main_thread();
  init_objects(g_promised_level == MPI_THREAD_MULTIPLE);
  make_markers();
  if (const int error = make_private_comms(); error != MPI_SUCCESS)
    return raise_error(nullptr, error, function);
  g_life = Life::initialized;
  open_doors(current_epoch());
  if (!start_shim_thread(socket))
    std::fprintf(stderr, "ckpt-coord: rank %d: cannot start a thread: %s; no checkpoints\n",
                 g_lower->rank, std::strerror(errno));
  return MPI_SUCCESS;
}

}  // namespace

void called_outside_mpi(const char* function) {
  std::fflush(nullptr);
  if (g_life == Life::finalized)
    std::fprintf(stderr,
                 "*** The %s() function was called after MPI_FINALIZE was invoked.\n"
                 "*** This is disallowed by the MPI standard.\n"
                 "*** Your MPI job will now abort.\n",
                 function);
  else
    std::fprintf(stderr,
                 "*** The %s() function was called before MPI_INIT was invoked.\n"
                 "*** This is disallowed by the MPI standard.\n"
                 "*** Your MPI job will now abort.\n",
                 function);
  std::_Exit(1);
}

namespace calls {

int Init(int* argc, char*** argv) {
  int provided;
  return initialise(argc, argv, MPI_THREAD_SINGLE, &provided, "MPI_Init");
}

int Init_thread(int* argc, char*** argv, int required, int* provided) {
  return initialise(argc, argv, required, provided, "MPI_Init_thread");
}

int Initialized(int* flag) {
  *flag = g_life != Life::before;
  return MPI_SUCCESS;
}

int Finalized(int* flag) {
  *flag = g_life == Life::finalized;
  return MPI_SUCCESS;
}

int Query_thread(int* provided) {
  if (g_life != Life::initialized) called_outside_mpi("MPI_Query_thread");
  *provided = g_promised_level;
  return MPI_SUCCESS;
}

int Is_thread_main(int* flag) {
  if (g_life != Life::initialized) called_outside_mpi("MPI_Is_thread_main");
  *flag = pthread_equal(pthread_self(), g_main_thread) != 0;
  return MPI_SUCCESS;
}

int Finalize() {
  if (g_life != Life::initialized) called_outside_mpi("MPI_Finalize");
  finalize_objects();
  // Ranks that wait here for the others can be checkpointed.
  auto* world = static_cast<Communicator*>(g_predefined[CKPT_HANDLE_MPI_COMM_WORLD]->state);
  int error = counted_barrier(*world, "MPI_Finalize");
  if (error != MPI_SUCCESS) return raise_error(nullptr, error, "MPI_Finalize");
  stop_shim_thread();
  finish_farewells();
  {
    Door door("MPI_Finalize");
    error = lower::Finalize();
  }
  g_life = Life::finalized;
  remove_doors();
  return error;
}

int Abort(MPI_Comm comm, int errorcode) {
  if (g_life != Life::initialized) called_outside_mpi("MPI_Abort");
  std::fflush(nullptr);
  Door door("MPI_Abort");
  const bool known =
      comm && handle_of(comm)->kind == HandleKind::communicator && handle_of(comm)->state;
  lower::Abort(
      known ? lower_of(comm) : static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD)),
      errorcode);
  std::_Exit(errorcode);
}

}  // namespace calls
}  // namespace ckpt::shim
