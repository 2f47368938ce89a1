// Loads the lower half into this process (no MPI of its own) and uses it:
// ranks talk through it, several threads attach, nothing lies outside the
// arena. Run by mpirun; prints "rank N: OK" or what went wrong.
#include <mpi.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "mpi_function_ids.h"
#include "mpi_shim/host/lower_half.h"

namespace {

ckpt_lower_table* lower;

template <typename Function, typename... Arguments>
int call(int id, Arguments... arguments) {
  return reinterpret_cast<Function>(lower->mpi[id])(arguments...);
}

MPI_Comm world() { return static_cast<MPI_Comm>(lower->handles[CKPT_HANDLE_MPI_COMM_WORLD]); }
MPI_Datatype int_type() { return static_cast<MPI_Datatype>(lower->handles[CKPT_HANDLE_MPI_INT]); }

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n", what);
  std::exit(1);
}

// File mappings outside the arena: their number must not change by the load.
int mappings_outside() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  int count = 0;
  while (std::getline(maps, line)) {
    const bool of_a_file = line.find('/') != std::string::npos;
    if (of_a_file && !ckpt_in_arena(std::strtoull(line.c_str(), nullptr, 16))) ++count;
  }
  return count;
}

void exchange() {
  const int peer = lower->rank ^ 1;
  int out = 1000 + lower->rank, in = 0;
  if (peer < lower->world_size) {
    call<decltype(&MPI_Sendrecv)>(CKPT_MPI_Sendrecv, &out, 1, int_type(), peer, 7, &in, 1,
                                  int_type(), peer, 7, world(), MPI_STATUS_IGNORE);
    check(in == 1000 + peer, "Sendrecv brought another value");
  }
  int sum = 0, one = 1;
  call<decltype(&MPI_Allreduce)>(CKPT_MPI_Allreduce, &one, &sum, 1, int_type(),
                                 static_cast<MPI_Op>(lower->handles[CKPT_HANDLE_MPI_SUM]), world());
  check(sum == lower->world_size, "Allreduce brought another sum");
}

}  // namespace

int main(int argc, char** argv) {
  (void)argc;
  const int before = mappings_outside();
  const auto start = std::chrono::steady_clock::now();
  const char* cache = std::getenv("LOWER_HALF_CACHE");
  ckpt_lower_request request{};
  request.parts_dir = std::getenv("LOWER_HALF_PARTS");
  request.cache_dir = cache;
  request.argv = argv;
  request.envp = environ;
  request.thread_multiple = std::getenv("LOWER_HALF_MULTIPLE") != nullptr;
  ckpt_lower_error error;
  const int loaded = ckpt_lower_load(&request, &lower, &error);
  if (loaded != 0) {
    std::printf("FAILED: %d %s\n", loaded, error.text);
    return 1;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  check(lower->magic == CKPT_LOWER_MAGIC && lower->init_error == MPI_SUCCESS, "MPI_Init");
  check(mappings_outside() == before, "the lower half mapped files outside the arena");
  exchange();
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([] {
        const uint64_t gs = ckpt_lower_attach_thread(lower, 0);
        check(gs != 0 && ckpt_in_arena(gs), "no donor");
        int version = 0, subversion = 0;
        call<decltype(&MPI_Get_version)>(CKPT_MPI_Get_version, &version, &subversion);
        check(version == 3, "MPI_Get_version in a thread");
        ckpt_lower_detach_thread(lower, gs);
      });
    }
    for (std::thread& thread : threads) thread.join();
    exchange();
  }
  // The program's own descriptors keep the low numbers.
  const int own = dup(2);
  check(own >= 0 && own < lower->descriptor_base, "a low descriptor number");
  call<decltype(&MPI_Finalize)>(CKPT_MPI_Finalize);
  std::printf("rank %d: OK (load %.3f s)\n", lower->rank, took.count());
  return 0;
}
