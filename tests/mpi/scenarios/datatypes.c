/* Derived types: one of every constructor, made before the cut. Before and
 * after it each must pack the same bytes, have the same shape, and carry a
 * message. */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

enum { kTypes = 18, kArea = 4096 };

struct record {
  char letter;
  double number;
  int pair[2];
};

static void make_indexed(MPI_Datatype* types) {
  int blocks[3] = {1, 3, 2}, places[3] = {0, 4, 12};
  MPI_Aint byte_places[3] = {0, 40, 100};
  MPI_Type_indexed(3, blocks, places, MPI_INT, &types[4]);
  MPI_Type_create_hindexed(3, blocks, byte_places, MPI_SHORT, &types[5]);
  MPI_Type_create_indexed_block(3, 2, places, MPI_FLOAT, &types[6]);
  MPI_Type_create_hindexed_block(3, 2, byte_places, MPI_CHAR, &types[7]);
}

static void make_arrays(MPI_Datatype* types) {
  int sizes[3] = {6, 7, 8}, sub[3] = {2, 3, 4}, starts[3] = {1, 2, 3};
  int global[2] = {10, 12}, kinds[2] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC};
  int arguments[2] = {MPI_DISTRIBUTE_DFLT_DARG, 2}, grid[2] = {2, 1};
  MPI_Type_create_subarray(3, sizes, sub, starts, MPI_ORDER_C, MPI_INT, &types[8]);
  MPI_Type_create_subarray(3, sizes, sub, starts, MPI_ORDER_FORTRAN, MPI_DOUBLE, &types[9]);
  MPI_Type_create_darray(2, here.rank, 2, global, kinds, arguments, grid, MPI_ORDER_C, MPI_INT,
                         &types[10]);
}

static void make_types(MPI_Datatype types[kTypes]) {
  int lengths[3] = {1, 1, 2};
  MPI_Aint places[3] = {offsetof(struct record, letter), offsetof(struct record, number),
                        offsetof(struct record, pair)};
  MPI_Datatype members[3] = {MPI_CHAR, MPI_DOUBLE, MPI_INT}, record;
  MPI_Type_contiguous(7, MPI_INT, &types[0]);
  MPI_Type_vector(5, 2, 4, MPI_DOUBLE, &types[1]);
  MPI_Type_create_hvector(4, 3, 50, MPI_SHORT, &types[2]);
  MPI_Type_dup(types[1], &types[3]);
  make_indexed(types);
  make_arrays(types);
  MPI_Type_create_struct(3, lengths, places, members, &record);
  MPI_Type_create_resized(record, 0, sizeof(struct record), &types[11]);
  MPI_Type_free(&record);
  MPI_Type_contiguous(3, types[11], &types[12]);
  MPI_Type_vector(2, 1, 3, types[12], &types[13]);
  MPI_Type_create_resized(types[0], -8, 64, &types[14]);
  MPI_Type_create_f90_real(15, 300, &types[15]);
  MPI_Type_create_f90_integer(9, &types[16]);
  MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, &types[17]);
  for (int i = 0; i < 15; i++) MPI_Type_commit(&types[i]);
}

struct shape {
  int size, packed;
  MPI_Aint lower, extent, true_lower, true_extent;
  int integers, addresses, datatypes, combiner;
  char bytes[kArea];
};

static void describe(MPI_Datatype type, struct shape* s) {
  char area[4 * kArea];
  fill(area, sizeof area, 5);
  memset(s, 0, sizeof *s);
  MPI_Type_size(type, &s->size);
  MPI_Type_get_extent(type, &s->lower, &s->extent);
  MPI_Type_get_true_extent(type, &s->true_lower, &s->true_extent);
  MPI_Type_get_envelope(type, &s->integers, &s->addresses, &s->datatypes, &s->combiner);
  MPI_Pack(area + kArea, 2, type, s->bytes, kArea, &s->packed, MPI_COMM_WORLD);
}

static void exchange(MPI_Datatype type, const struct shape* s) {
  char in[4 * kArea], out[4 * kArea], packed[kArea];
  int other = 1 - here.rank, position = 0;
  fill(out, sizeof out, 5);
  memset(in, 0, sizeof in);
  MPI_Sendrecv(out + kArea, 2, type, other, 1, in + kArea, 2, type, other, 1, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
  MPI_Pack(in + kArea, 2, type, packed, kArea, &position, MPI_COMM_WORLD);
  CHECK(position == s->packed && memcmp(packed, s->bytes, (size_t)position) == 0,
        "a message of this type has other content");
}

void scenario_datatypes(void) {
  static struct shape before[kTypes], after;
  MPI_Datatype types[kTypes];
  make_types(types);
  for (int i = 0; i < kTypes; i++) describe(types[i], &before[i]);
  hold();
  for (int i = 0; i < kTypes; i++) {
    describe(types[i], &after);
    CHECK(memcmp(&before[i], &after, sizeof after) == 0, "type %d (combiner %d) changed", i,
          before[i].combiner);
    /* Equal places on both ranks (a darray's differ). */
    if (i != 10) exchange(types[i], &before[i]);
  }
  int integers[8];
  MPI_Aint addresses[8];
  MPI_Datatype inner[8];
  MPI_Type_get_contents(types[13], 3, 0, 1, integers, addresses, inner);
  CHECK(integers[0] == 2 && integers[1] == 1 && integers[2] == 3, "contents");
  MPI_Type_free(&inner[0]);
  MPI_Datatype later; /* a new one on top of a restored one */
  MPI_Type_contiguous(2, types[11], &later);
  MPI_Type_commit(&later);
  describe(later, &after);
  CHECK(after.size == 2 * before[11].size, "a type made afterwards");
  MPI_Type_free(&later);
  for (int i = 0; i < 15; i++) MPI_Type_free(&types[i]);
}

void scenario_datatypes_freed(void) {
  enum { kCount = 32 };
  MPI_Datatype inner, outer;
  MPI_Request requests[2];
  int in[kCount * 2], out[kCount * 2], other = 1 - here.rank;
  for (int i = 0; i < kCount * 2; i++) {
    out[i] = here.rank * 1000 + i;
    in[i] = -1;
  }
  MPI_Type_vector(kCount / 2, 1, 2, MPI_INT, &inner);
  MPI_Type_create_resized(inner, 0, kCount * (int)sizeof(int), &outer);
  MPI_Type_free(&inner);
  MPI_Type_commit(&outer);
  MPI_Irecv(in, 2, outer, other, 1, MPI_COMM_WORLD, &requests[0]); /* pending at the cut */
  if (here.rank == 0) {
    MPI_Isend(out, 2, outer, other, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Type_free(&outer);
  }
  hold();
  if (here.rank == 1) {
    MPI_Isend(out, 2, outer, other, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Type_free(&outer);
  }
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount * 2; i++)
    CHECK(in[i] == (i % 2 ? -1 : other * 1000 + i), "element %d is %d", i, in[i]);
}
