/* Times of many short batches, of which the fast ones count: on a shared machine
 * the mean says more about the neighbours than about the program. A batch is
 * shorter than a time slice of the scheduler, so most of them are undisturbed even
 * where others want the processors; how many there are is bounded by time. */
#ifndef CKPT_TESTS_BENCH_SAMPLE_H
#define CKPT_TESTS_BENCH_SAMPLE_H

#include <mpi.h>
#include <stdlib.h>

enum { kMostBatches = 2000, kBatchesAtOnce = 20 };
static const double kBatchSeconds = 0.0003, kSampleSeconds = 0.3;

/* Seconds of `count` operations of `size`, all together; every rank calls it. */
typedef double batch_function(void* buffer, int size, int count);

static int sample_order(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

/* Seconds of one operation, the 5th percentile of the batches at rank 0. */
static double sample(batch_function* batch, void* buffer, int size) {
  static double times[kMostBatches];
  double once = 1;
  for (int i = 0; i < 5; i++) {
    double t = batch(buffer, size, 4) / 4;
    if (t < once) once = t;
  }
  int count = (int)(kBatchSeconds / once), done = 0, more = 1;
  if (count < 1) count = 1;
  MPI_Bcast(&count, 1, MPI_INT, 0, MPI_COMM_WORLD);
  for (double begin = MPI_Wtime(); more;) {
    for (int i = 0; i < kBatchesAtOnce; i++) times[done++] = batch(buffer, size, count) / count;
    more = done + kBatchesAtOnce <= kMostBatches && MPI_Wtime() - begin < kSampleSeconds;
    MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
  }
  qsort(times, (size_t)done, sizeof *times, sample_order);
  return times[done / 20];
}

#endif
