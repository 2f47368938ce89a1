/* Half round trip between two ranks: "pingpong SIZE MICROSECONDS" for each size. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

enum { kLargest = 4 << 20 };

static int rank;

static double batch(void* buffer, int size, int count) {
  double begin = MPI_Wtime();
  for (int i = 0; i < count; i++) {
    if (rank == 0) {
      MPI_Send(buffer, size, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
      MPI_Recv(buffer, size, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(buffer, size, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buffer, size, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
    }
  }
  return (MPI_Wtime() - begin) / 2;
}

int main(int argc, char** argv) {
  static const int kSizes[] = {1, 8, 64, 1024, 8192, 65536, 1 << 20, 4 << 20};
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  char* buffer = malloc(kLargest);
  if (!buffer) MPI_Abort(MPI_COMM_WORLD, 2);
  memset(buffer, 1, kLargest);
  for (size_t s = 0; s < sizeof kSizes / sizeof *kSizes; s++) {
    double seconds = sample(batch, buffer, kSizes[s]);
    if (rank == 0) printf("pingpong %d %.5f\n", kSizes[s], seconds * 1e6);
  }
  free(buffer);
  MPI_Finalize();
  return 0;
}
