#include "mpi_shim/program_library.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "mpi_shim/lower_table.hpp"

namespace ckpt::shim {

bool g_native = false;
void* g_program_mpi[CKPT_MPI_FUNCTION_COUNT];

ckpt_lower_table* g_lower = nullptr;
void* g_lower_mpi[CKPT_MPI_FUNCTION_COUNT];

void use_lower_table(ckpt_lower_table* table) {
  std::memcpy(g_lower_mpi, table->mpi, sizeof g_lower_mpi);
  g_lower = table;
}

namespace {

// A program may have loaded libmpi where global look-ups do not find it (Python
// extension modules: RTLD_LOCAL).
void* library_handle() {
  static void* const handle = dlopen("libmpi.so.40", RTLD_NOLOAD | RTLD_NOW);
  return handle;
}

int refused() {
  std::fputs("ckpt-coord: the program's MPI library lacks a function that its mpi.h declares\n",
             stderr);
  return 52;  // MPI_ERR_UNSUPPORTED_OPERATION
}

}  // namespace

void* find_program_symbol(const char* name) {
  // RTLD_DEFAULT first: with copy relocations the variable lies in the executable.
  if (void* address = dlsym(RTLD_DEFAULT, name)) return address;
  void* const library = library_handle();
  return library ? dlsym(library, name) : nullptr;
}

void* find_next_function(const char* name) {
  if (void* function = dlsym(RTLD_NEXT, name)) return function;
  void* const library = library_handle();
  return library ? dlsym(library, name) : nullptr;
}

bool go_native() {
  bool all = true;
  for (int i = 0; i < CKPT_MPI_FUNCTION_COUNT; ++i) {
    const std::string name = std::string("P") + g_function_names[i];
    void* function = find_next_function(name.c_str());
    if (!function) {
      all = false;
      function = reinterpret_cast<void*>(&refused);
    }
    g_program_mpi[i] = function;
  }
  g_native = true;
  return all;
}

}  // namespace ckpt::shim
