/* holder MEGABYTES [STOP_FILE]
 *
 * Holds so much incompressible memory a rank and works on a little of it until
 * STOP_FILE exists (without one: ends at once). Prints "first TIME" when it
 * begins (CLOCK_REALTIME, s), "gap SECONDS" each time the longest pause between
 * two steps grew, and at the end "holder OK" if no byte changed. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double clock_now(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t word(uint64_t i) {
  i = (i ^ (i >> 31)) * 0x7fb5d329728ea185ull;
  i = (i ^ (i >> 27)) * 0x81dadef4bc2dd44dull;
  return i ^ (i >> 33);
}

int main(int argc, char** argv) {
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  size_t words = (argc > 1 ? strtoul(argv[1], NULL, 0) : 1) << 17;
  const char* stop = argc > 2 ? argv[2] : NULL;
  uint64_t* memory = malloc(words * sizeof *memory);
  if (!memory) MPI_Abort(MPI_COMM_WORLD, 2);
  uint64_t offset = (uint64_t)rank << 40;
  for (size_t i = 0; i < words; i++) memory[i] = word(offset + i);
  MPI_Barrier(MPI_COMM_WORLD);
  printf("first %.6f\n", clock_now(CLOCK_REALTIME));
  fflush(stdout);
  double last = clock_now(CLOCK_MONOTONIC), longest = 0;
  for (uint64_t step = 0; stop; step++) {
    double now = clock_now(CLOCK_MONOTONIC);
    if (now - last > longest) {
      longest = now - last;
      /* A restarted program sees its first step so: the gap is since the checkpoint. */
      if (longest > 0.001) printf("gap %.6f %.6f\n", longest, clock_now(CLOCK_REALTIME));
      fflush(stdout);
    }
    last = now;
    for (size_t i = 0; i < 1000; i++) ((volatile uint64_t*)memory)[(step * 1000 + i) % words] ^= 0;
    if (step % 64 == 0) {
      int end = access(stop, F_OK) == 0, all;
      MPI_Allreduce(&end, &all, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
      if (all) break;
    }
  }
  size_t wrong = 0;
  for (size_t i = 0; i < words; i++) wrong += memory[i] != word(offset + i);
  if (wrong) fprintf(stderr, "holder: rank %d: %zu words changed\n", rank, wrong);
  int bad = wrong != 0, any;
  MPI_Allreduce(&bad, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  if (rank == 0 && !any) printf("holder OK\n");
  MPI_Finalize();
  return any;
}
