/* "allreduce BYTES MICROSECONDS" for 8 bytes and 1 megabyte, the 10th
 * percentile of the batches. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

enum { kBatches = 60, kDoubles = 1 << 17 };

int main(int argc, char** argv) {
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  double *in = calloc(kDoubles, sizeof *in), *out = calloc(kDoubles, sizeof *out);
  if (!in || !out) MPI_Abort(MPI_COMM_WORLD, 2);
  for (int which = 0; which < 2; which++) {
    int doubles = which ? kDoubles : 1, count = which ? 10 : 5000;
    double times[kBatches];
    for (int b = 0; b < kBatches; b++) {
      double begin = MPI_Wtime();
      for (int i = 0; i < count; i++)
        MPI_Allreduce(in, out, doubles, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
      times[b] = (MPI_Wtime() - begin) / count;
    }
    if (rank == 0)
      printf("allreduce %d %.5f\n", doubles * 8, percentile(times, kBatches, 0.1) * 1e6);
  }
  free(in);
  free(out);
  MPI_Finalize();
  return 0;
}
