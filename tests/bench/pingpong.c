/* Half round trip between two ranks: "pingpong SIZE MICROSECONDS" for each
 * size, the 10th percentile of the batches. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

enum { kBatches = 60, kLargest = 4 << 20 };

static double batch(char* buffer, int size, int times, int rank) {
  double begin = MPI_Wtime();
  for (int i = 0; i < times; i++) {
    if (rank == 0) {
      MPI_Send(buffer, size, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
      MPI_Recv(buffer, size, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(buffer, size, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buffer, size, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
    }
  }
  return (MPI_Wtime() - begin) / times / 2;
}

int main(int argc, char** argv) {
  static const int kSizes[] = {1, 8, 64, 1024, 8192, 65536, 1 << 20, 4 << 20};
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  char* buffer = malloc(kLargest);
  if (!buffer) MPI_Abort(MPI_COMM_WORLD, 2);
  memset(buffer, 1, kLargest);
  for (size_t s = 0; s < sizeof kSizes / sizeof *kSizes; s++) {
    double times[kBatches];
    /* A batch lasts about 5 ms, whatever the size and the transport. */
    double once = batch(buffer, kSizes[s], 10, rank) * 2;
    int count = (int)(0.005 / once);
    count = count < 2 ? 2 : count > 20000 ? 20000 : count;
    MPI_Bcast(&count, 1, MPI_INT, 0, MPI_COMM_WORLD);
    for (int i = 0; i < kBatches; i++) times[i] = batch(buffer, kSizes[s], count, rank);
    if (rank == 0) printf("pingpong %d %.5f\n", kSizes[s], percentile(times, kBatches, 0.1) * 1e6);
  }
  free(buffer);
  MPI_Finalize();
  return 0;
}
