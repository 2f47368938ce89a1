/* User-defined operations and packed buffers. */
#include <string.h>

#include "scenario.h"

struct affine { /* x -> a x + b modulo a prime: composition does not commute */
  long a, b;
};
static const long kPrime = 1000003;

static void compose(void* in, void* inout, int* n, MPI_Datatype* type) {
  (void)type;
  struct affine *first = in, *second = inout;
  for (int i = 0; i < *n; i++) {
    struct affine both = {first[i].a * second[i].a % kPrime,
                          (second[i].a * first[i].b + second[i].b) % kPrime};
    second[i] = both;
  }
}

static int calls;

static void longest(void* in, void* inout, int* n, MPI_Datatype* type) {
  (void)type;
  calls++;
  for (int i = 0; i < *n; i++)
    if (((int*)in)[i] > ((int*)inout)[i]) ((int*)inout)[i] = ((int*)in)[i];
}

static void use(MPI_Op ordered, MPI_Op maximum, MPI_Datatype type) {
  struct affine own = {here.rank + 2, here.rank * 7 + 1}, all, prefix;
  struct affine expected = {2, 1};
  for (int r = 1; r < here.size; r++) {
    struct affine next = {r + 2, r * 7 + 1};
    compose(&expected, &next, (int[]){1}, NULL);
    expected = next;
  }
  MPI_Allreduce(&own, &all, 1, type, ordered, MPI_COMM_WORLD);
  CHECK(all.a == expected.a && all.b == expected.b, "composition %ld %ld", all.a, all.b);
  MPI_Scan(&own, &prefix, 1, type, ordered, MPI_COMM_WORLD);
  CHECK(here.rank != here.size - 1 || prefix.b == expected.b, "scan");
  int values[3] = {here.rank, -here.rank, 5}, most[3];
  calls = 0;
  MPI_Reduce(values, most, 3, MPI_INT, maximum, 0, MPI_COMM_WORLD);
  CHECK(here.rank != 0 || (most[0] == here.size - 1 && most[1] == 0 && most[2] == 5), "maximum");
  CHECK(here.rank != 0 || calls > 0, "the program's own function was not called");
  int local = 3, other = 9;
  MPI_Reduce_local(&other, &local, 1, MPI_INT, maximum);
  CHECK(local == 9, "Reduce_local");
}

void scenario_user_operations(void) {
  MPI_Op ordered, maximum;
  MPI_Datatype type;
  MPI_Request request;
  int commutes, value = here.rank, most = -1;
  MPI_Type_contiguous(2, MPI_LONG, &type);
  MPI_Type_commit(&type);
  MPI_Op_create(compose, 0, &ordered);
  MPI_Op_create(longest, 1, &maximum);
  use(ordered, maximum, type);
  MPI_Iallreduce(&value, &most, 1, MPI_INT, maximum, MPI_COMM_WORLD, &request);
  hold();
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK(most == here.size - 1, "Iallreduce with a user operation: %d", most);
  use(ordered, maximum, type);
  MPI_Op_commutative(ordered, &commutes);
  CHECK(!commutes, "not commutative");
  MPI_Op_commutative(maximum, &commutes);
  CHECK(commutes, "commutative");
  MPI_Op_free(&ordered);
  MPI_Op_free(&maximum);
  MPI_Type_free(&type);
}

void scenario_packed(void) {
  char buffer[256], text[16];
  int position = 0, size, number = 0;
  double value = 0;
  MPI_Status status;
  if (here.rank == 0) {
    number = 42;
    value = 2.5;
    MPI_Pack(&number, 1, MPI_INT, buffer, sizeof buffer, &position, MPI_COMM_WORLD);
    MPI_Pack(&value, 1, MPI_DOUBLE, buffer, sizeof buffer, &position, MPI_COMM_WORLD);
    hold();
    MPI_Pack("checkpoint", 11, MPI_CHAR, buffer, sizeof buffer, &position, MPI_COMM_WORLD);
    MPI_Send(buffer, position, MPI_PACKED, 1, 1, MPI_COMM_WORLD);
  } else {
    hold();
    MPI_Recv(buffer, sizeof buffer, MPI_PACKED, 0, 1, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_PACKED, &size);
    MPI_Unpack(buffer, size, &position, &number, 1, MPI_INT, MPI_COMM_WORLD);
    MPI_Unpack(buffer, size, &position, &value, 1, MPI_DOUBLE, MPI_COMM_WORLD);
    MPI_Unpack(buffer, size, &position, text, 11, MPI_CHAR, MPI_COMM_WORLD);
    CHECK(number == 42 && value == 2.5 && strcmp(text, "checkpoint") == 0, "unpacked %d %g %s",
          number, value, text);
  }
}
