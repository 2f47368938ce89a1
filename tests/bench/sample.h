/* Times of many batches, of which the fast ones count: on a shared machine the
 * mean says more about the neighbours than about the program. */
#ifndef CKPT_TESTS_BENCH_SAMPLE_H
#define CKPT_TESTS_BENCH_SAMPLE_H

#include <stdlib.h>

static int sample_order(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

/* Sorts. `share` 0.1 is the 10th percentile. */
static double percentile(double* values, int count, double share) {
  qsort(values, (size_t)count, sizeof *values, sample_order);
  return values[(int)(share * (count - 1))];
}

#endif
