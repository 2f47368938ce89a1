/* Jacobi iteration on a square plate, two-dimensional decomposition, with a
 * nonblocking halo exchange that overlaps the computation of the inner points.
 *
 *   stencil [EDGE [ITERATIONS]]      defaults 768 4000
 *
 * Rows travel as they lie, columns as an MPI_Type_vector. Prints one RESULT
 * line: the bits of every point enter it, so it repeats only if nothing at all
 * was lost or changed. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plate {
  int rows, columns; /* own points, without the halo */
  int first_row, first_column, edge;
  double *now, *next;
  MPI_Comm grid;
  int north, south, west, east;
  MPI_Datatype column;
};

static double* at(const struct plate* p, double* points, int row, int column) {
  return points + (size_t)row * (size_t)(p->columns + 2) + column;
}

static void share(int edge, int parts, int index, int* first, int* count) {
  *first = (int)((long)edge * index / parts);
  *count = (int)((long)edge * (index + 1) / parts) - *first;
}

static void make_plate(struct plate* p, int edge) {
  int size, rank, dims[2] = {0, 0}, periods[2] = {0, 0}, coords[2];
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Dims_create(size, 2, dims);
  MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 1, &p->grid);
  MPI_Comm_rank(p->grid, &rank);
  MPI_Cart_coords(p->grid, rank, 2, coords);
  MPI_Cart_shift(p->grid, 0, 1, &p->north, &p->south);
  MPI_Cart_shift(p->grid, 1, 1, &p->west, &p->east);
  p->edge = edge;
  share(edge, dims[0], coords[0], &p->first_row, &p->rows);
  share(edge, dims[1], coords[1], &p->first_column, &p->columns);
  MPI_Type_vector(p->rows, 1, p->columns + 2, MPI_DOUBLE, &p->column);
  MPI_Type_commit(&p->column);

  size_t bytes = (size_t)(p->rows + 2) * (size_t)(p->columns + 2) * sizeof(double);
  p->now = calloc(1, bytes);
  p->next = calloc(1, bytes);
  if (!p->now || !p->next) MPI_Abort(MPI_COMM_WORLD, 2);
  for (int r = 1; r <= p->rows; r++)
    for (int c = 1; c <= p->columns; c++) {
      int row = p->first_row + r - 1, column = p->first_column + c - 1;
      *at(p, p->now, r, c) = (row * 131 + column * 17) % 1000 / 250.0;
    }
  /* The plate's hot upper edge: it lies in the halo and is never exchanged. */
  if (p->north == MPI_PROC_NULL)
    for (int c = 0; c < p->columns + 2; c++) *at(p, p->now, 0, c) = *at(p, p->next, 0, c) = 100.0;
}

static void start_exchange(struct plate* p, MPI_Request request[8]) {
  double* u = p->now;
  MPI_Irecv(at(p, u, 0, 1), p->columns, MPI_DOUBLE, p->north, 1, p->grid, &request[0]);
  MPI_Irecv(at(p, u, p->rows + 1, 1), p->columns, MPI_DOUBLE, p->south, 2, p->grid, &request[1]);
  MPI_Irecv(at(p, u, 1, 0), 1, p->column, p->west, 3, p->grid, &request[2]);
  MPI_Irecv(at(p, u, 1, p->columns + 1), 1, p->column, p->east, 4, p->grid, &request[3]);
  MPI_Isend(at(p, u, p->rows, 1), p->columns, MPI_DOUBLE, p->south, 1, p->grid, &request[4]);
  MPI_Isend(at(p, u, 1, 1), p->columns, MPI_DOUBLE, p->north, 2, p->grid, &request[5]);
  MPI_Isend(at(p, u, 1, p->columns), 1, p->column, p->east, 3, p->grid, &request[6]);
  MPI_Isend(at(p, u, 1, 1), 1, p->column, p->west, 4, p->grid, &request[7]);
}

static double relax(struct plate* p, int row0, int row1, int column0, int column1) {
  double change = 0;
  for (int r = row0; r <= row1; r++)
    for (int c = column0; c <= column1; c++) {
      double value = 0.25 * (*at(p, p->now, r - 1, c) + *at(p, p->now, r + 1, c) +
                             *at(p, p->now, r, c - 1) + *at(p, p->now, r, c + 1));
      double step = value - *at(p, p->now, r, c);
      change += step * step;
      *at(p, p->next, r, c) = value;
    }
  return change;
}

static double iterate(struct plate* p) {
  MPI_Request request[8];
  start_exchange(p, request);
  double change = relax(p, 2, p->rows - 1, 2, p->columns - 1);
  MPI_Waitall(8, request, MPI_STATUSES_IGNORE);
  change += relax(p, 1, 1, 1, p->columns);
  if (p->rows > 1) change += relax(p, p->rows, p->rows, 1, p->columns);
  if (p->rows > 2) {
    change += relax(p, 2, p->rows - 1, 1, 1);
    if (p->columns > 1) change += relax(p, 2, p->rows - 1, p->columns, p->columns);
  }
  double* old = p->now;
  p->now = p->next;
  p->next = old;
  return change;
}

static uint64_t digest(struct plate* p) {
  uint64_t sum = 0, total = 0;
  for (int r = 1; r <= p->rows; r++)
    for (int c = 1; c <= p->columns; c++) {
      uint64_t bits, place = (uint64_t)(p->first_row + r) * (uint64_t)p->edge +
                             (uint64_t)(p->first_column + c);
      memcpy(&bits, at(p, p->now, r, c), sizeof bits);
      sum += (bits ^ (place * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;
    }
  MPI_Reduce(&sum, &total, 1, MPI_UINT64_T, MPI_SUM, 0, p->grid);
  return total;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int edge = argc > 1 ? atoi(argv[1]) : 768;
  int iterations = argc > 2 ? atoi(argv[2]) : 4000;
  struct plate plate;
  make_plate(&plate, edge);

  double residual = 0;
  for (int i = 0; i < iterations; i++) {
    double change = iterate(&plate);
    if (i % 25 == 24 || i == iterations - 1)
      MPI_Allreduce(&change, &residual, 1, MPI_DOUBLE, MPI_SUM, plate.grid);
  }
  int rank;
  uint64_t sum = digest(&plate);
  MPI_Comm_rank(plate.grid, &rank);
  if (rank == 0)
    printf("RESULT stencil iterations=%d residual=%a digest=%016llx\n", iterations, residual,
           (unsigned long long)sum);
  free(plate.now);
  free(plate.next);
  MPI_Type_free(&plate.column);
  MPI_Comm_free(&plate.grid);
  MPI_Finalize();
  return 0;
}
