// ckpt-mpi-host: the lower half's program.
//
// An ordinary program linked to the site's libmpi. The loader puts it into a
// rank's arena and runs it on a stack of its own; its main() calls
// MPI_Init_thread, publishes the table and goes back to the upper half's stack.
// It never returns: what it started lives as long as the rank.
#include <dlfcn.h>
#include <linux/futex.h>
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mpi_function_ids.h"
#include "mpi_shim/host/arena.hpp"

extern "C" {
extern void* const ckpt_host_mpi[];
extern void* const ckpt_host_handles[];
}

using ckpt::lower::control;

namespace {

constexpr size_t kDonorStack = 64 << 10;

ckpt_donor_pool donors;
ckpt_lower_table table;

uint64_t own_gs() {
  uint64_t gs;
  asm volatile("rdgsbase %0" : "=r"(gs));
  return gs;
}

void wait_on(const volatile uint32_t* word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

// A donor lends its TLS to a thread of the program and never runs again.
void* donor(void*) {
  const uint32_t place = donors.made;
  donors.free_gs[place] = own_gs();
  __atomic_store_n(&donors.made, place + 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &donors.made, FUTEX_WAKE, 1 << 30, nullptr, nullptr, 0);
  static const uint32_t never = 0;
  for (;;) wait_on(&never, 0);
}

void make_donor() {
  const uint32_t before = donors.made;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kDonorStack);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, donor, nullptr) != 0) {
    // Whoever waits asks again; memory or threads may come back.
    usleep(1000);
    syscall(SYS_futex, &donors.made, FUTEX_WAKE, 1 << 30, nullptr, nullptr, 0);
  } else {
    pthread_detach(thread);
    while (__atomic_load_n(&donors.made, __ATOMIC_SEQ_CST) == before) {
      syscall(SYS_futex, &donors.made, FUTEX_WAIT, before, nullptr, nullptr, 0);
    }
  }
  pthread_attr_destroy(&attributes);
}

void* donor_maker(void*) {
  for (;;) {
    const uint32_t wanted = __atomic_load_n(&donors.wanted, __ATOMIC_SEQ_CST);
    if (donors.made < wanted && donors.made < CKPT_DONORS_MAX) {
      make_donor();
    } else {
      syscall(SYS_futex, &donors.wanted, FUTEX_WAIT, wanted, nullptr, nullptr, 0);
    }
  }
}

}  // namespace

int main(int argc, char** argv, char** environment) {
  control().libraries_loaded = 1;
  const int level = control().thread_multiple ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE;
  table.magic = CKPT_LOWER_MAGIC;
  table.mpi_count = CKPT_MPI_FUNCTION_COUNT;
  table.handle_count = CKPT_PREDEFINED_COUNT;
  table.mpi = ckpt_host_mpi;
  table.handles = ckpt_host_handles;
  table.descriptor_base = control().descriptor_base;
  table.main_thread_gs = own_gs();
  table.donors = &donors;
  table.progress = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "opal_progress"));
  table.environment = environment;
  table.init_error = PMPI_Init_thread(&argc, &argv, level, &table.provided);
  if (table.init_error == MPI_SUCCESS) {
    PMPI_Comm_rank(MPI_COMM_WORLD, &table.rank);
    PMPI_Comm_size(MPI_COMM_WORLD, &table.world_size);
    PMPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    PMPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  }
  pthread_t maker;
  pthread_create(&maker, nullptr, donor_maker, nullptr);
  control().table = &table;
  control().return_to_upper(0);
  return 0;
}
