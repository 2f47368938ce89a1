/* Communicators, groups, topologies and what hangs on them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

static int sum_of_ranks(MPI_Comm comm) {
  int sum = 0;
  MPI_Allreduce(&here.rank, &sum, 1, MPI_INT, MPI_SUM, comm);
  return sum;
}

void scenario_communicators(void) {
  MPI_Comm dup, half, pair, node, of_dup, created, by_group, lazy;
  MPI_Group world, group, first_two;
  MPI_Request request;
  int result, size, rank, two[2] = {0, 1};
  MPI_Comm_dup(MPI_COMM_WORLD, &dup);
  MPI_Comm_split(MPI_COMM_WORLD, here.rank % 2, -here.rank, &half);
  MPI_Comm_split(half, here.rank / 2, 0, &pair);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, here.rank, MPI_INFO_NULL, &node);
  MPI_Comm_dup(dup, &of_dup);
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Group_incl(world, 2, two, &first_two);
  MPI_Comm_create(MPI_COMM_WORLD, first_two, &created);
  by_group = MPI_COMM_NULL;
  if (here.rank < 2) MPI_Comm_create_group(MPI_COMM_WORLD, first_two, 3, &by_group);
  MPI_Comm_idup(half, &lazy, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Comm_free(&dup); /* of_dup lives on */
  hold();
  CHECK(sum_of_ranks(of_dup) == 6, "dup of a dup");
  CHECK(sum_of_ranks(half) == (here.rank % 2 ? 4 : 2), "split");
  CHECK(sum_of_ranks(lazy) == (here.rank % 2 ? 4 : 2), "idup");
  CHECK(sum_of_ranks(pair) == here.rank, "split of a split");
  MPI_Comm_rank(half, &rank);
  CHECK(rank == (here.rank < 2 ? 1 : 0), "order by key");
  MPI_Comm_size(node, &size);
  CHECK(size >= 1 && size <= here.size, "split_type: %d", size);
  sum_of_ranks(node);
  CHECK((created == MPI_COMM_NULL) == (here.rank >= 2), "create");
  if (here.rank < 2) CHECK(sum_of_ranks(created) + sum_of_ranks(by_group) == 2, "create_group");
  MPI_Comm_compare(MPI_COMM_WORLD, of_dup, &result);
  CHECK(result == MPI_CONGRUENT, "compare: %d", result);
  MPI_Comm_compare(half, lazy, &result);
  CHECK(result == MPI_CONGRUENT, "compare of idup: %d", result);
  MPI_Comm_compare(half, MPI_COMM_WORLD, &result);
  CHECK(result == MPI_UNEQUAL, "compare: %d", result);
  MPI_Comm_group(half, &group);
  MPI_Group_size(group, &size);
  MPI_Group_translate_ranks(group, 1, (int[]){0}, world, &rank);
  CHECK(size == 2 && rank == (here.rank % 2 ? 3 : 2), "translate_ranks: %d", rank);
  MPI_Comm again; /* new ones can be made from restored ones */
  MPI_Comm_split(of_dup, here.rank / 2, here.rank, &again);
  CHECK(sum_of_ranks(again) == (here.rank / 2 ? 5 : 1), "split afterwards");
  MPI_Comm_free(&again);
  MPI_Group_free(&group);
  MPI_Group_free(&first_two);
  MPI_Group_free(&world);
  MPI_Comm* all[] = {&half, &pair, &node, &of_dup, &lazy, &created, &by_group};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (*all[i] != MPI_COMM_NULL) MPI_Comm_free(all[i]);
}

void scenario_cartesian(void) {
  MPI_Comm grid, row, copy;
  int dims[2] = {2, 2}, periods[2] = {1, 0}, coords[2], rank, source, to, status;
  int got_dims[2], got_periods[2], got_coords[2], n;
  MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid);
  MPI_Cart_sub(grid, (int[]){0, 1}, &row);
  MPI_Comm_dup(grid, &copy);
  hold();
  MPI_Topo_test(grid, &status);
  CHECK(status == MPI_CART, "Topo_test %d", status);
  MPI_Topo_test(MPI_COMM_WORLD, &status);
  CHECK(status == MPI_UNDEFINED, "Topo_test of the world %d", status);
  MPI_Cartdim_get(copy, &n);
  MPI_Cart_get(copy, 2, got_dims, got_periods, got_coords);
  CHECK(n == 2 && got_dims[0] == 2 && got_periods[0] == 1 && got_periods[1] == 0, "Cart_get");
  MPI_Comm_rank(grid, &rank);
  MPI_Cart_coords(grid, rank, 2, coords);
  CHECK(coords[0] == rank / 2 && coords[1] == rank % 2, "coords %d %d", coords[0], coords[1]);
  CHECK(got_coords[0] == coords[0] && got_coords[1] == coords[1], "coords of the copy");
  MPI_Cart_rank(grid, (int[]){coords[0] + 2, coords[1]}, &to);
  CHECK(to == rank, "periodic Cart_rank %d", to);
  MPI_Cart_shift(grid, 1, 1, &source, &to);
  CHECK(source == (coords[1] ? rank - 1 : MPI_PROC_NULL), "shift %d", source);
  MPI_Cart_shift(grid, 0, 1, &source, &to);
  int got = -1;
  MPI_Sendrecv(&rank, 1, MPI_INT, to, 1, &got, 1, MPI_INT, source, 1, grid, MPI_STATUS_IGNORE);
  CHECK(got == source, "message of the neighbour");
  MPI_Cartdim_get(row, &n);
  CHECK(n == 1, "Cart_sub dimensions %d", n);
  int sum;
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, row);
  CHECK(sum == (coords[0] ? 5 : 1), "sum of a row %d", sum);
  MPI_Comm_free(&row);
  MPI_Comm_free(&copy);
  MPI_Comm_free(&grid);
}

static int copies, deletions;

static int copy_attribute(MPI_Comm comm, int key, void* extra, void* in, void* out, int* flag) {
  (void)comm, (void)key;
  copies++;
  *(void**)out = (char*)in + *(int*)extra;
  *flag = 1;
  return MPI_SUCCESS;
}

static int delete_attribute(MPI_Comm comm, int key, void* value, void* extra) {
  (void)comm, (void)key, (void)value, (void)extra;
  deletions++;
  return MPI_SUCCESS;
}

void scenario_attributes(void) {
  static int step = 16;
  static char values[64];
  MPI_Comm comm, copy, later;
  int key, other_key, flag, type_key;
  char* got;
  copies = deletions = 0;
  MPI_Comm_create_keyval(copy_attribute, delete_attribute, &key, &step);
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &other_key, NULL);
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_attr(comm, key, values);
  MPI_Comm_set_attr(comm, other_key, values + 1);
  MPI_Comm_set_attr(MPI_COMM_WORLD, other_key, values + 2);
  MPI_Comm_dup(comm, &copy);
  MPI_Datatype type;
  MPI_Type_contiguous(3, MPI_INT, &type);
  MPI_Type_create_keyval(MPI_TYPE_NULL_COPY_FN, MPI_TYPE_NULL_DELETE_FN, &type_key, NULL);
  MPI_Type_set_attr(type, type_key, values + 3);
  int copies_before = copies, deletions_before = deletions;
  hold();
  CHECK(copies == copies_before && deletions == deletions_before,
        "callbacks ran during the checkpoint: %d copies, %d deletions", copies, deletions);
  MPI_Comm_get_attr(comm, key, &got, &flag);
  CHECK(flag && got == values, "attribute");
  MPI_Comm_get_attr(copy, key, &got, &flag);
  CHECK(flag && got == values + 16, "copied attribute");
  MPI_Comm_get_attr(copy, other_key, &got, &flag);
  CHECK(!flag, "an attribute that is not copied");
  MPI_Comm_get_attr(MPI_COMM_WORLD, other_key, &got, &flag);
  CHECK(flag && got == values + 2, "attribute of the world");
  MPI_Type_get_attr(type, type_key, &got, &flag);
  CHECK(flag && got == values + 3, "attribute of a type");
  int* tag_bound;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tag_bound, &flag);
  CHECK(flag && *tag_bound >= 32767, "MPI_TAG_UB");
  MPI_Comm_dup(copy, &later);
  MPI_Comm_get_attr(later, key, &got, &flag);
  CHECK(flag && got == values + 32 && copies == 2, "copied afterwards, %d copies", copies);
  MPI_Comm_delete_attr(comm, key);
  MPI_Comm_free(&copy);
  MPI_Comm_free(&later);
  CHECK(deletions == 3, "%d deletions", deletions);
  MPI_Comm_delete_attr(MPI_COMM_WORLD, other_key);
  MPI_Type_free(&type);
  MPI_Comm_free(&comm);
  MPI_Type_free_keyval(&type_key);
  MPI_Comm_free_keyval(&key);
  MPI_Comm_free_keyval(&other_key);
}

static int errors_seen, last_class;
static MPI_Comm error_comm;

static void on_error(MPI_Comm* comm, int* code, ...) {
  errors_seen++;
  error_comm = *comm;
  MPI_Error_class(*code, &last_class);
}

void scenario_error_handlers(void) {
  MPI_Errhandler handler, got;
  MPI_Comm comm, copy;
  int value = 0, code, class, length;
  char text[MPI_MAX_ERROR_STRING];
  errors_seen = 0;
  MPI_Comm_create_errhandler(on_error, &handler);
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_errhandler(comm, handler);
  MPI_Comm_dup(comm, &copy);
  hold();
  MPI_Comm_get_errhandler(comm, &got);
  CHECK(got == handler, "another handler");
  MPI_Errhandler_free(&got);
  MPI_Send(&value, 1, MPI_INT, 99, 1, comm);
  CHECK(errors_seen == 1 && last_class == MPI_ERR_RANK && error_comm == comm,
        "handler: %d calls, class %d", errors_seen, last_class);
  MPI_Send(&value, -1, MPI_INT, 0, 1, copy);
  CHECK(errors_seen == 2 && last_class == MPI_ERR_COUNT && error_comm == copy,
        "handler of a dup: %d calls, class %d", errors_seen, last_class);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  code = MPI_Send(&value, 1, MPI_INT, 0, -77, comm);
  MPI_Error_class(code, &class);
  MPI_Error_string(code, text, &length);
  CHECK(class == MPI_ERR_TAG && length > 0 && errors_seen == 2, "class %d: %s", class, text);
  MPI_Comm_get_errhandler(MPI_COMM_WORLD, &got);
  CHECK(got == MPI_ERRORS_ARE_FATAL, "handler of the world");
  MPI_Errhandler_free(&got);
  MPI_Comm_call_errhandler(copy, MPI_ERR_OTHER);
  CHECK(errors_seen == 3, "call_errhandler");
  MPI_Errhandler_free(&handler);
  MPI_Comm_free(&comm);
  MPI_Comm_free(&copy);
}

void scenario_names_info(void) {
  MPI_Comm comm;
  MPI_Datatype type;
  MPI_Info info, copy;
  char name[MPI_MAX_OBJECT_NAME], value[64];
  int length, flag, keys;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_name(comm, "a name of my own");
  MPI_Type_contiguous(5, MPI_DOUBLE, &type);
  MPI_Type_set_name(type, "five doubles");
  MPI_Info_create(&info);
  MPI_Info_set(info, "colour", "blue");
  MPI_Info_set(info, "size", "17");
  MPI_Info_dup(info, &copy);
  MPI_Info_delete(copy, "size");
  hold();
  MPI_Comm_get_name(comm, name, &length);
  CHECK(strcmp(name, "a name of my own") == 0 && length == 16, "communicator: %s", name);
  MPI_Comm_get_name(MPI_COMM_WORLD, name, &length);
  CHECK(strcmp(name, "MPI_COMM_WORLD") == 0, "world: %s", name);
  MPI_Type_get_name(type, name, &length);
  CHECK(strcmp(name, "five doubles") == 0, "type: %s", name);
  MPI_Type_get_name(MPI_DOUBLE, name, &length);
  CHECK(strcmp(name, "MPI_DOUBLE") == 0, "MPI_DOUBLE: %s", name);
  MPI_Info_get(info, "colour", 63, value, &flag);
  CHECK(flag && strcmp(value, "blue") == 0, "info");
  MPI_Info_get_nkeys(info, &keys);
  CHECK(keys == 2, "%d keys", keys);
  MPI_Info_get_nkeys(copy, &keys);
  CHECK(keys == 1, "%d keys in the copy", keys);
  MPI_Info_get(copy, "size", 63, value, &flag);
  CHECK(!flag, "a deleted key is back");
  MPI_Info_free(&info);
  MPI_Info_free(&copy);
  MPI_Type_free(&type);
  MPI_Comm_free(&comm);
}

/* The handle is gone, but the operation on it is still to be completed. */
void scenario_communicator_freed(void) {
  MPI_Comm comm;
  MPI_Request requests[2];
  int out = here.rank + 5, in = -1, other = 1 - here.rank;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Irecv(&in, 1, MPI_INT, other, 1, comm, &requests[0]);
  if (here.rank == 0) {
    MPI_Isend(&out, 1, MPI_INT, other, 1, comm, &requests[1]);
    MPI_Comm_free(&comm);
    CHECK(comm == MPI_COMM_NULL, "handle not null");
    hold();
  } else {
    hold();
    MPI_Isend(&out, 1, MPI_INT, other, 1, comm, &requests[1]);
    MPI_Comm_free(&comm);
  }
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  CHECK(in == other + 5, "received %d", in);
}
