/* "allreduce BYTES MICROSECONDS" for 8 bytes and 1 megabyte. */
#include <mpi.h>
#include <stdio.h>

#include "sample.h"

enum { kDoubles = 1 << 17 };

static double* out;

static double batch(void* in, int doubles, int count) {
  double begin = MPI_Wtime();
  for (int i = 0; i < count; i++)
    MPI_Allreduce(in, out, doubles, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return MPI_Wtime() - begin;
}

int main(int argc, char** argv) {
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  double* in = calloc(kDoubles, sizeof *in);
  out = calloc(kDoubles, sizeof *out);
  if (!in || !out) MPI_Abort(MPI_COMM_WORLD, 2);
  static const int kCounts[] = {1, kDoubles};
  for (int i = 0; i < 2; i++) {
    double seconds = sample(batch, in, kCounts[i]);
    if (rank == 0) printf("allreduce %d %.5f\n", kCounts[i] * 8, seconds * 1e6);
  }
  free(in);
  free(out);
  MPI_Finalize();
  return 0;
}
