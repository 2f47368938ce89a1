/* MPI + OpenMP: each rank's threads advance their shares of an array of random
 * generators, the main thread combines the ranks' results.
 *
 *   hybrid [ROUNDS [ITEMS]]      defaults 400 200000
 *
 * Integers only, so the RESULT line does not depend on the number of threads
 * or on the order in which they finish. */
#include <mpi.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t advance(uint64_t x) {
  for (int i = 0; i < 16; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

int main(int argc, char** argv) {
  int provided, rank, size;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (provided < MPI_THREAD_FUNNELED) {
    fprintf(stderr, "hybrid: MPI_THREAD_FUNNELED not provided (%d)\n", provided);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  int rounds = argc > 1 ? atoi(argv[1]) : 400;
  long items = argc > 2 ? atol(argv[2]) : 200000;
  uint64_t* state = malloc((size_t)items * sizeof *state);
  if (!state) MPI_Abort(MPI_COMM_WORLD, 2);
  for (long i = 0; i < items; i++) state[i] = (uint64_t)(i * size + rank) * 2654435761u + 1;

  uint64_t digest = 0;
  for (int round = 0; round < rounds; round++) {
    uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (long i = 0; i < items; i++) {
      state[i] = advance(state[i] + digest);
      sum += state[i];
    }
    uint64_t all = 0, from_left = 0;
    MPI_Sendrecv(&sum, 1, MPI_UINT64_T, (rank + 1) % size, round, &from_left, 1, MPI_UINT64_T,
                 (rank + size - 1) % size, round, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    sum = sum * 31 + (from_left >> 3);
    MPI_Allreduce(&sum, &all, 1, MPI_UINT64_T, MPI_BXOR, MPI_COMM_WORLD);
    digest = digest * 31 + all;
  }
  if (rank == 0)
    printf("RESULT hybrid rounds=%d digest=%016llx\n", rounds, (unsigned long long)digest);
  free(state);
  MPI_Finalize();
  return 0;
}
