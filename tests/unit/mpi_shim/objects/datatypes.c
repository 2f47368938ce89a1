/* Datatypes, operations, pack, status: prints what MPI answers. Run natively and
 * under the shim, the output must be the same. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;
#define SAY(...)          \
  do {                    \
    printf("%d: ", rank); \
    printf(__VA_ARGS__);  \
    printf("\n");         \
  } while (0)

static void show(const char* what, MPI_Datatype type) {
  int bytes, ni, na, nd, combiner, length;
  MPI_Aint lb, extent, true_lb, true_extent;
  char name[MPI_MAX_OBJECT_NAME];
  MPI_Type_size(type, &bytes);
  MPI_Type_get_extent(type, &lb, &extent);
  MPI_Type_get_true_extent(type, &true_lb, &true_extent);
  MPI_Type_get_envelope(type, &ni, &na, &nd, &combiner);
  MPI_Type_get_name(type, name, &length);
  SAY("%s '%s': size %d lb %ld extent %ld true %ld %ld combiner %d: %d %d %d", what,
      combiner == MPI_COMBINER_NAMED ? name : "", bytes, (long)lb, (long)extent, (long)true_lb,
      (long)true_extent, combiner, ni, na, nd);
  if (combiner == MPI_COMBINER_NAMED) return;
  int ints[64];
  MPI_Aint aints[64];
  MPI_Datatype types[64];
  MPI_Type_get_contents(type, ni, na, nd, ints, aints, types);
  char line[1024] = "";
  for (int i = 0; i < ni; ++i) sprintf(line + strlen(line), " %d", ints[i]);
  strcat(line, " /");
  for (int i = 0; i < na; ++i) sprintf(line + strlen(line), " %ld", (long)aints[i]);
  SAY("  contents%s", line);
  for (int i = 0; i < nd; ++i) {
    int inner, inner_ints, inner_addresses, inner_types;
    MPI_Type_get_envelope(types[i], &inner_ints, &inner_addresses, &inner_types, &inner);
    SAY("  member %d combiner %d", i, inner);
    if (inner != MPI_COMBINER_NAMED && inner != MPI_COMBINER_F90_REAL) MPI_Type_free(&types[i]);
  }
}

/* Sends `count` of type to the next rank; what arrives is shown as bytes. */
static void exchange(const char* what, MPI_Datatype type, int count, int bytes) {
  unsigned char out[512], in[512];
  for (int i = 0; i < 512; ++i) out[i] = (unsigned char)(i + rank), in[i] = 255;
  MPI_Status status;
  MPI_Sendrecv(out, count, type, (rank + 1) % size, 3, in, count, type, (rank + size - 1) % size, 3,
               MPI_COMM_WORLD, &status);
  unsigned sum = 0;
  for (int i = 0; i < bytes; ++i) sum = sum * 31 + in[i];
  int n, elements;
  MPI_Get_count(&status, type, &n);
  MPI_Get_elements(&status, type, &elements);
  SAY("  %s sum %u count %d elements %d", what, sum, n, elements);
}

static void constructors(void) {
  MPI_Datatype t, u;
  MPI_Type_contiguous(3, MPI_INT, &t);
  MPI_Type_commit(&t);
  show("contiguous", t);
  exchange("contiguous", t, 4, 60);
  MPI_Type_vector(3, 2, 4, MPI_SHORT, &u);
  MPI_Type_commit(&u);
  show("vector", u);
  exchange("vector", u, 3, 120);
  MPI_Type_free(&u);
  MPI_Type_create_hvector(2, 1, 20, t, &u);
  MPI_Type_free(&t); /* still used by u */
  MPI_Type_commit(&u);
  show("hvector", u);
  exchange("hvector", u, 2, 120);
  MPI_Type_free(&u);
  int lengths[3] = {1, 2, 1}, at[3] = {4, 1, 0};
  MPI_Aint far[3] = {16, 0, 8};
  MPI_Type_indexed(3, lengths, at, MPI_INT, &t);
  MPI_Type_commit(&t);
  show("indexed", t);
  exchange("indexed", t, 2, 80);
  MPI_Type_free(&t);
  MPI_Type_create_hindexed(3, lengths, far, MPI_SHORT, &t);
  show("hindexed", t);
  MPI_Type_free(&t);
  MPI_Type_create_indexed_block(3, 2, at, MPI_SHORT, &t);
  show("indexed_block", t);
  MPI_Type_free(&t);
  MPI_Type_create_hindexed_block(3, 2, far, MPI_CHAR, &t);
  MPI_Type_commit(&t);
  show("hindexed_block", t);
  exchange("hindexed_block", t, 1, 30);
  MPI_Type_free(&t);
  MPI_Type_vector(2, 1, 2, MPI_FLOAT, &u);
  MPI_Datatype members[3] = {MPI_DOUBLE, u, MPI_CHAR};
  MPI_Type_create_struct(3, lengths, far, members, &t);
  MPI_Type_free(&u);
  MPI_Type_commit(&t);
  show("struct", t);
  exchange("struct", t, 2, 100);
  MPI_Type_create_resized(t, -4, 64, &u);
  MPI_Type_commit(&u);
  show("resized", u);
  exchange("resized", u, 3, 200);
  MPI_Type_free(&t);
  MPI_Type_dup(u, &t);
  show("dup", t);
  exchange("dup", t, 2, 130);
  MPI_Type_free(&t);
  MPI_Type_free(&u);
  int sizes[2] = {4, 6}, subsizes[2] = {2, 3}, starts[2] = {1, 2};
  MPI_Type_create_subarray(2, sizes, subsizes, starts, MPI_ORDER_C, MPI_SHORT, &t);
  MPI_Type_commit(&t);
  show("subarray", t);
  exchange("subarray", t, 2, 100);
  MPI_Type_free(&t);
  int distribs[2] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC},
      dargs[2] = {MPI_DISTRIBUTE_DFLT_DARG, 2}, psizes[2] = {2, 2};
  MPI_Type_create_darray(4, rank % 4, 2, sizes, distribs, dargs, psizes, MPI_ORDER_FORTRAN, MPI_INT,
                         &t);
  show("darray", t);
  MPI_Type_free(&t);
  MPI_Type_create_f90_real(12, MPI_UNDEFINED, &t);
  MPI_Type_create_f90_real(12, MPI_UNDEFINED, &u);
  show("f90_real", t);
  SAY("f90 same %d", t == u);
  MPI_Type_create_f90_integer(9, &t);
  show("f90_integer", t);
  exchange("f90_integer", t, 2, 20);
}

static void predefined(void) {
  /* clang-format off */
  MPI_Datatype all[] = {
      MPI_CHAR, MPI_SIGNED_CHAR, MPI_UNSIGNED_CHAR, MPI_BYTE, MPI_SHORT, MPI_UNSIGNED_SHORT, MPI_INT,
      MPI_UNSIGNED, MPI_LONG, MPI_UNSIGNED_LONG, MPI_LONG_LONG, MPI_UNSIGNED_LONG_LONG, MPI_FLOAT,
      MPI_DOUBLE, MPI_LONG_DOUBLE, MPI_WCHAR, MPI_PACKED, MPI_CXX_BOOL, MPI_CXX_COMPLEX,
      MPI_LOGICAL, MPI_CHARACTER, MPI_INTEGER, MPI_REAL, MPI_DOUBLE_PRECISION, MPI_COMPLEX,
      MPI_DOUBLE_COMPLEX, MPI_2INT, MPI_2INTEGER, MPI_2REAL, MPI_2DOUBLE_PRECISION, MPI_FLOAT_INT,
      MPI_DOUBLE_INT, MPI_LONG_DOUBLE_INT, MPI_SHORT_INT, MPI_LONG_INT, MPI_INTEGER8, MPI_REAL8,
      MPI_REAL16, MPI_COMPLEX16, MPI_INT8_T, MPI_UINT64_T, MPI_AINT, MPI_OFFSET, MPI_COUNT,
      MPI_C_BOOL, MPI_C_FLOAT_COMPLEX, MPI_C_DOUBLE_COMPLEX};
  /* clang-format on */
  for (unsigned i = 0; i < sizeof all / sizeof all[0]; ++i) {
    show("predefined", all[i]);
    exchange("predefined", all[i], 3, 48);
  }
  MPI_Datatype t;
  for (int bytes = 1; bytes <= 16; bytes *= 2) {
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    int code = MPI_Type_match_size(MPI_TYPECLASS_REAL, bytes, &t);
    SAY("match real %d: %d %d", bytes, code == MPI_SUCCESS, code ? -1 : MPI_Type_c2f(t));
    code = MPI_Type_match_size(MPI_TYPECLASS_INTEGER, bytes, &t);
    SAY("match integer %d: %d %d", bytes, code == MPI_SUCCESS, code ? -1 : MPI_Type_c2f(t));
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

static void partial(void) {
  /* A receive of fewer elements than the type has: count and elements. */
  MPI_Datatype pair, nested;
  MPI_Datatype members[2] = {MPI_INT, MPI_DOUBLE};
  int lengths[2] = {2, 3};
  MPI_Aint at[2] = {0, 8};
  MPI_Type_create_struct(2, lengths, at, members, &pair);
  MPI_Type_vector(2, 1, 2, pair, &nested);
  MPI_Type_commit(&nested);
  MPI_Status status;
  memset(&status, 0, sizeof status);
  for (int bytes = 0; bytes <= 80; bytes += 4) {
    MPI_Status_set_elements(&status, MPI_BYTE, bytes);
    int n, elements;
    MPI_Get_count(&status, nested, &n);
    MPI_Get_elements(&status, nested, &elements);
    SAY("partial %d: %d %d", bytes, n, elements);
    MPI_Get_elements(&status, MPI_DOUBLE_INT, &elements);
    SAY("partial pair %d: %d", bytes, elements);
  }
  for (int elements = 0; elements < 14; ++elements) {
    MPI_Status_set_elements(&status, nested, elements);
    int bytes;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    SAY("set elements %d: %d", elements, bytes);
  }
  int flag;
  MPI_Status_set_cancelled(&status, 1);
  MPI_Test_cancelled(&status, &flag);
  SAY("cancelled %d", flag);
  MPI_Type_free(&pair);
  MPI_Type_free(&nested);
}

static void sum_pairs(void* in, void* inout, int* count, MPI_Datatype* type) {
  int bytes;
  MPI_Type_size(*type, &bytes);
  int *a = in, *b = inout;
  for (int i = 0; i < *count * bytes / 4; ++i) b[i] = a[i] + 2 * b[i];
}

static void operations(void) {
  MPI_Op op;
  int commutes;
  MPI_Op_create(sum_pairs, 0, &op);
  MPI_Op_commutative(op, &commutes);
  MPI_Datatype three;
  MPI_Type_contiguous(3, MPI_INT, &three);
  MPI_Type_commit(&three);
  int in[6] = {rank, 1, 2, rank * rank, 4, 5}, out[6];
  MPI_Allreduce(in, out, 2, three, op, MPI_COMM_WORLD);
  SAY("op %d: %d %d %d %d", commutes, out[0], out[1], out[3], out[5]);
  MPI_Scan(in, out, 2, three, op, MPI_COMM_WORLD);
  SAY("scan: %d %d %d %d", out[0], out[1], out[3], out[5]);
  MPI_Request request;
  MPI_Iallreduce(in, out, 2, three, op, MPI_COMM_WORLD, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  SAY("iallreduce: %d %d %d %d", out[0], out[1], out[3], out[5]);
  MPI_Reduce_local(in, out, 2, three, op);
  SAY("local: %d %d", out[0], out[5]);
  MPI_Op_free(&op);
  MPI_Type_free(&three);
  SAY("op null %d", op == MPI_OP_NULL);
  for (int i = 0; i < 2000; ++i) {
    MPI_Op_create(sum_pairs, 1, &op);
    MPI_Op_free(&op);
  }
  struct {
    double value;
    int at;
  } mine = {(rank * 7) % 5, rank}, best;
  MPI_Allreduce(&mine, &best, 1, MPI_DOUBLE_INT, MPI_MAXLOC, MPI_COMM_WORLD);
  SAY("maxloc %g %d", best.value, best.at);
}

static void packing(void) {
  char buffer[256];
  int position = 0, bytes, back[2];
  double value = 2.5, again;
  int numbers[2] = {rank, 42};
  MPI_Pack(numbers, 2, MPI_INT, buffer, 256, &position, MPI_COMM_WORLD);
  MPI_Pack(&value, 1, MPI_DOUBLE, buffer, 256, &position, MPI_COMM_WORLD);
  MPI_Pack_size(3, MPI_DOUBLE, MPI_COMM_WORLD, &bytes);
  SAY("packed %d size %d", position, bytes);
  position = 0;
  MPI_Unpack(buffer, 256, &position, back, 2, MPI_INT, MPI_COMM_WORLD);
  MPI_Unpack(buffer, 256, &position, &again, 1, MPI_DOUBLE, MPI_COMM_WORLD);
  SAY("unpacked %d %d %g", back[0], back[1], again);
  MPI_Aint far = 0, external;
  MPI_Pack_external_size("external32", 2, MPI_INT, &external);
  MPI_Pack_external("external32", numbers, 2, MPI_INT, buffer, 256, &far);
  SAY("external %ld %ld: %d %d", (long)external, (long)far, buffer[3], buffer[7]);
  void* memory;
  MPI_Alloc_mem(1000, MPI_INFO_NULL, &memory);
  memset(memory, 1, 1000);
  MPI_Free_mem(memory);
}

static void collectives(void) {
  int counts[16], at[16], gathered[64], total = 0;
  for (int i = 0; i < size; ++i) counts[i] = i + 1, at[i] = total, total += i + 1;
  int mine[16];
  for (int i = 0; i < 16; ++i) mine[i] = rank * 100 + i;
  memset(gathered, 0, sizeof gathered);
  /* What means nothing away from the root may be anything. */
  MPI_Datatype ignored = rank == 0 ? MPI_INT : (MPI_Datatype)0;
  MPI_Gatherv(mine, rank + 1, MPI_INT, gathered, counts, at, ignored, 0, MPI_COMM_WORLD);
  SAY("gatherv %d %d", gathered[0], rank == 0 ? gathered[total - 1] : -1);
  MPI_Scatterv(gathered, counts, at, ignored, mine, rank + 1, MPI_INT, 0, MPI_COMM_WORLD);
  SAY("scatterv %d", mine[0]);
  for (int i = 0; i < 64; ++i) gathered[i] = rank;
  MPI_Allgather(MPI_IN_PLACE, 0, (MPI_Datatype)0, gathered, 1, MPI_INT, MPI_COMM_WORLD);
  SAY("in place %d %d", gathered[0], gathered[size - 1]);
  int ones[16], sent[16], zero[16];
  MPI_Datatype types[16];
  for (int i = 0; i < size; ++i) {
    ones[i] = 1, zero[i] = 4 * i, sent[i] = rank * 10 + i, gathered[i] = -1;
    types[i] = MPI_INT;
  }
  MPI_Alltoallw(sent, ones, zero, types, gathered, ones, zero, types, MPI_COMM_WORLD);
  SAY("alltoallw %d %d", gathered[0], gathered[size - 1]);
  MPI_Request request;
  MPI_Ialltoallw(sent, ones, zero, types, gathered, ones, zero, types, MPI_COMM_WORLD, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  SAY("ialltoallw %d %d", gathered[0], gathered[size - 1]);
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  int block[16], sum;
  for (int i = 0; i < 16; ++i) block[i] = i + rank;
  MPI_Reduce_scatter_block(block, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  SAY("reduce_scatter_block %d", sum);
  sum = -1;
  MPI_Exscan(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  SAY("exscan %d", rank ? sum : 0);
}

static int type_copies;
static int copy(MPI_Datatype t, int key, void* extra, void* in, void* out, int* flag) {
  (void)t, (void)key, (void)extra;
  ++type_copies;
  *(void**)out = in;
  *flag = 1;
  return MPI_SUCCESS;
}

static void type_attributes(void) {
  int key, flag, length;
  void* value;
  char name[MPI_MAX_OBJECT_NAME];
  MPI_Type_create_keyval(copy, MPI_TYPE_NULL_DELETE_FN, &key, 0);
  MPI_Datatype t, u;
  MPI_Type_contiguous(2, MPI_INT, &t);
  MPI_Type_set_attr(t, key, (void*)11);
  MPI_Type_dup(t, &u);
  MPI_Type_get_attr(u, key, &value, &flag);
  MPI_Type_set_name(u, "two ints");
  MPI_Type_get_name(u, name, &length);
  SAY("type attribute %d %ld copies %d name %s", flag, (long)value, type_copies, name);
  MPI_Type_free(&t);
  MPI_Type_free(&u);
  MPI_Type_free_keyval(&key);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  char path[4096];
  snprintf(path, sizeof path, "%s.%d", argc > 1 ? argv[1] : "out", rank);
  if (!freopen(path, "w", stdout)) return 2;
  constructors();
  predefined();
  partial();
  operations();
  packing();
  collectives();
  type_attributes();
  MPI_Finalize();
  return 0;
}
