// What the upper half answers alone: memory, addresses, time, version, status
// conversion, profiling control.
#include "mpi_shim/objects/environment.hpp"

#include <time.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/program_library.hpp"

namespace ckpt::shim {

namespace {

// Another node's clock may be behind the one the program has read.
std::atomic<double> g_last_time{0};
double g_time_offset = 0;

double clock_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

void keep_time_monotonic() {
  const double last = g_last_time.load(std::memory_order_relaxed);
  const double now = clock_now();
  if (now + g_time_offset < last) g_time_offset = last - now;
}

namespace calls {

int Alloc_mem(MPI_Aint size, MPI_Info info, void* baseptr) {
  (void)info;
  auto** result = static_cast<void**>(baseptr);
  if (size < 0) return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Alloc_mem");
  *result = size == 0 ? nullptr : std::malloc(static_cast<std::size_t>(size));
  if (size > 0 && !*result) return raise_error(kNoHandle, MPI_ERR_NO_MEM, "MPI_Alloc_mem");
  return MPI_SUCCESS;
}

int Free_mem(void* base) {
  std::free(base);
  return MPI_SUCCESS;
}

int Get_address(const void* location, MPI_Aint* address) {
  *address = reinterpret_cast<MPI_Aint>(location);
  return MPI_SUCCESS;
}

int Address(void* location, MPI_Aint* address) { return Get_address(location, address); }

int Get_version(int* version, int* subversion) {
  *version = MPI_VERSION;
  *subversion = MPI_SUBVERSION;
  return MPI_SUCCESS;
}

int Get_library_version(char* version, int* resultlen) {
  std::strcpy(version, "Open MPI (through ckpt-coord)");
  // The program's own library knows its name, initialised or not.
  using Function = int (*)(char*, int*);
  static const auto of_library =
      reinterpret_cast<Function>(find_next_function("PMPI_Get_library_version"));
  if (of_library) return of_library(version, resultlen);
  *resultlen = static_cast<int>(std::strlen(version));
  return MPI_SUCCESS;
}

double Wtime() {
  const double now = clock_now() + g_time_offset;
  g_last_time.store(now, std::memory_order_relaxed);
  return now;
}

double Wtick() { return 1e-9; }

int Pcontrol(const int level, ...) {
  (void)level;
  return MPI_SUCCESS;
}

// MPI_T may be used before MPI_Init, so the first call decides as MPI_Init would.
int T_init_thread(int required, int* provided) {
  if (!std::getenv("CKPT_AGENT_SOCKET")) {
    go_native();
    using Function = int (*)(int, int*);
    return program_function<Function>(CKPT_MPI_T_init_thread)(required, provided);
  }
  *provided = required;
  return MPI_SUCCESS;
}

int T_finalize() { return MPI_SUCCESS; }

}  // namespace calls

}  // namespace ckpt::shim
