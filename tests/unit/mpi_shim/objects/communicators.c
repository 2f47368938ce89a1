/* Groups, communicators, grids, names, attributes, error handlers: prints what
 * MPI answers. Run natively and under the shim, the output must be the same. */
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

static void show_group(const char* what, MPI_Group group) {
  int n, me;
  MPI_Group_size(group, &n);
  MPI_Group_rank(group, &me);
  MPI_Group world;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  int from[64], to[64];
  for (int i = 0; i < n; ++i) from[i] = i;
  MPI_Group_translate_ranks(group, n, from, world, to);
  char line[512] = "";
  for (int i = 0; i < n; ++i) sprintf(line + strlen(line), " %d", to[i]);
  SAY("%s: size %d rank %d members%s", what, n, me, line);
  MPI_Group_free(&world);
}

static void groups(void) {
  MPI_Group world, even, first, g;
  int result;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  int evens[64], n = 0;
  for (int i = 0; i < size; i += 2) evens[n++] = i;
  MPI_Group_incl(world, n, evens, &even);
  show_group("even", even);
  int range[1][3] = {{size - 1, 0, -1}};
  MPI_Group_range_incl(world, 1, range, &g);
  show_group("reversed", g);
  MPI_Group_compare(world, g, &result);
  SAY("compare reversed %d", result);
  MPI_Group_free(&g);
  int low[1][3] = {{0, 1, 1}};
  MPI_Group_range_incl(world, 1, low, &first);
  MPI_Group_union(even, first, &g);
  show_group("union", g);
  MPI_Group_free(&g);
  MPI_Group_intersection(first, even, &g);
  show_group("intersection", g);
  MPI_Group_free(&g);
  MPI_Group_difference(world, even, &g);
  show_group("difference", g);
  MPI_Group_compare(g, even, &result);
  SAY("compare difference %d", result);
  MPI_Group_free(&g);
  MPI_Group_difference(even, world, &g);
  SAY("empty %d", g == MPI_GROUP_EMPTY);
  MPI_Group_excl(world, 1, evens, &g);
  show_group("excl", g);
  MPI_Group_range_excl(world, 1, low, &g);
  show_group("range_excl", g);
  MPI_Comm even_comm;
  MPI_Comm_create(MPI_COMM_WORLD, even, &even_comm);
  SAY("create null %d", even_comm == MPI_COMM_NULL);
  if (even_comm != MPI_COMM_NULL) {
    int r, sum;
    MPI_Comm_rank(even_comm, &r);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, even_comm);
    SAY("even comm rank %d sum %d", r, sum);
    MPI_Comm again;
    MPI_Comm_create_group(even_comm, even, 7, &again);
    MPI_Comm_compare(even_comm, again, &result);
    SAY("create_group compare %d", result);
    MPI_Comm_free(&again);
    MPI_Comm_free(&even_comm);
  }
  MPI_Group_free(&even);
  SAY("freed %d", even == MPI_GROUP_NULL);
}

static void communicators(void) {
  MPI_Comm dup, split, node, idup;
  int result, r, s, length;
  char name[MPI_MAX_OBJECT_NAME];
  MPI_Comm_get_name(MPI_COMM_WORLD, name, &length);
  SAY("world %s %d", name, length);
  MPI_Comm_get_name(MPI_COMM_SELF, name, &length);
  SAY("self %s %d", name, length);
  MPI_Comm_dup(MPI_COMM_WORLD, &dup);
  MPI_Comm_set_name(dup, "the copy");
  MPI_Comm_get_name(dup, name, &length);
  MPI_Comm_compare(dup, MPI_COMM_WORLD, &result);
  SAY("dup %s %d compare %d", name, length, result);
  MPI_Comm_split(dup, rank % 2, -rank, &split);
  MPI_Comm_rank(split, &r);
  MPI_Comm_size(split, &s);
  MPI_Comm_compare(split, dup, &result);
  SAY("split rank %d size %d compare %d", r, s, result);
  int root = rank;
  MPI_Bcast(&root, 1, MPI_INT, 0, split);
  SAY("split root %d", root);
  MPI_Comm none;
  MPI_Comm_split(dup, rank == 0 ? MPI_UNDEFINED : 1, 0, &none);
  SAY("undefined null %d", none == MPI_COMM_NULL);
  if (none != MPI_COMM_NULL) MPI_Comm_free(&none);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_size(node, &s);
  SAY("shared %d", s);
  MPI_Request request;
  MPI_Comm_idup(split, &idup, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Comm_compare(idup, split, &result);
  int sum = 0;
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, idup);
  SAY("idup compare %d sum %d", result, sum);
  MPI_Comm_test_inter(idup, &result);
  SAY("inter %d", result);
  MPI_Comm_free(&idup);
  MPI_Comm_free(&node);
  MPI_Comm_free(&split);
  MPI_Comm_free(&dup);
  MPI_Comm parent;
  MPI_Comm_get_parent(&parent);
  SAY("parent null %d freed %d", parent == MPI_COMM_NULL, dup == MPI_COMM_NULL);
}

static void grids(void) {
  int dims[3] = {0, 2, 0}, periods[2] = {1, 0};
  MPI_Dims_create(24, 3, dims);
  SAY("dims %d %d %d", dims[0], dims[1], dims[2]);
  int shape[2] = {2, size / 2};
  MPI_Comm grid, row;
  MPI_Cart_create(MPI_COMM_WORLD, 2, shape, periods, 0, &grid);
  int status, n, at[2], from, to, r;
  MPI_Topo_test(grid, &status);
  MPI_Cartdim_get(grid, &n);
  MPI_Cart_get(grid, 2, dims, periods, at);
  SAY("grid %d %d: %d %d %d %d at %d %d", status, n, dims[0], dims[1], periods[0], periods[1],
      at[0], at[1]);
  for (int axis = 0; axis < 2; ++axis)
    for (int step = -3; step <= 3; ++step) {
      MPI_Cart_shift(grid, axis, step, &from, &to);
      SAY("shift %d %d: %d %d", axis, step, from, to);
    }
  int wrapped[2] = {-1, 0};
  MPI_Cart_rank(grid, wrapped, &r);
  SAY("wrapped %d", r);
  for (int i = 0; i < size; ++i) {
    MPI_Cart_coords(grid, i, 2, at);
    SAY("coords %d %d %d", i, at[0], at[1]);
  }
  int keep[2] = {0, 1};
  MPI_Cart_sub(grid, keep, &row);
  MPI_Comm_rank(row, &r);
  MPI_Cart_get(row, 1, dims, periods, at);
  SAY("row rank %d dims %d periods %d at %d", r, dims[0], periods[0], at[0]);
  int mine[1] = {rank}, got[4] = {-1, -1, -1, -1};
  MPI_Neighbor_allgather(mine, 1, MPI_INT, got, 1, MPI_INT, grid);
  SAY("neighbours %d %d %d %d", got[0], got[1], got[2], got[3]);
  MPI_Cart_map(MPI_COMM_WORLD, 2, shape, periods, &r);
  SAY("map %d", r);
  int one[1] = {1};
  MPI_Comm small;
  MPI_Cart_create(MPI_COMM_WORLD, 1, one, one, 0, &small);
  SAY("small null %d", small == MPI_COMM_NULL);
  MPI_Comm_dup(grid, &small);
  MPI_Topo_test(small, &status);
  SAY("dup of grid %d", status);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int code = MPI_Cartdim_get(MPI_COMM_WORLD, &n), class;
  MPI_Error_class(code, &class);
  SAY("no grid class %d", class);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
  MPI_Comm_free(&small);
  MPI_Comm_free(&row);
  MPI_Comm_free(&grid);
}

static int copies, deletes;
static int copy(MPI_Comm c, int key, void* extra, void* in, void* out, int* flag) {
  (void)c, (void)key;
  ++copies;
  *(void**)out = (char*)in + *(int*)extra;
  *flag = 1;
  return MPI_SUCCESS;
}
static int remove_attr(MPI_Comm c, int key, void* value, void* extra) {
  (void)c, (void)key, (void)extra;
  ++deletes;
  SAY("delete %ld", (long)value);
  return MPI_SUCCESS;
}
static int at_end(MPI_Comm c, int key, void* value, void* extra) {
  (void)c, (void)key, (void)extra;
  SAY("self deleted %ld", (long)value);
  return MPI_SUCCESS;
}

static void attributes(void) {
  int key, plain, extra = 100, flag;
  void* value;
  MPI_Comm_create_keyval(copy, remove_attr, &key, &extra);
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &plain, 0);
  MPI_Comm dup;
  MPI_Comm_set_attr(MPI_COMM_WORLD, key, (void*)5);
  MPI_Comm_set_attr(MPI_COMM_WORLD, plain, (void*)6);
  MPI_Comm_dup(MPI_COMM_WORLD, &dup);
  MPI_Comm_get_attr(dup, key, &value, &flag);
  SAY("copied %d %ld", flag, (long)value);
  MPI_Comm_get_attr(dup, plain, &value, &flag);
  SAY("not copied %d", flag);
  MPI_Comm_set_attr(dup, key, (void*)7);
  MPI_Comm_free(&dup);
  MPI_Comm_delete_attr(MPI_COMM_WORLD, key);
  MPI_Comm_get_attr(MPI_COMM_WORLD, key, &value, &flag);
  SAY("after delete %d copies %d deletes %d", flag, copies, deletes);
  MPI_Comm_free_keyval(&key);
  SAY("keyval %d", key == MPI_KEYVAL_INVALID);
  int keys[] = {MPI_TAG_UB, MPI_HOST,         MPI_IO,           MPI_WTIME_IS_GLOBAL,
                MPI_APPNUM, MPI_LASTUSEDCODE, MPI_UNIVERSE_SIZE};
  for (int i = 0; i < 7; ++i) {
    int* number = 0;
    MPI_Comm_get_attr(MPI_COMM_WORLD, keys[i], &number, &flag);
    SAY("attribute %d: %d %d", i, flag, flag && number ? *number : -1);
  }
  int last;
  MPI_Comm_create_keyval(MPI_COMM_DUP_FN, at_end, &last, 0);
  MPI_Comm_set_attr(MPI_COMM_SELF, last, (void*)9);
}

static void handler(MPI_Comm* comm, int* code, ...) {
  int result, class;
  MPI_Comm_compare(*comm, MPI_COMM_WORLD, &result);
  MPI_Error_class(*code, &class);
  SAY("handler: %d class %d", result, class);
}

static void errors(void) {
  MPI_Errhandler mine, old;
  MPI_Comm dup;
  MPI_Comm_create_errhandler(handler, &mine);
  MPI_Comm_dup(MPI_COMM_WORLD, &dup);
  MPI_Comm_set_errhandler(dup, mine);
  MPI_Comm_get_errhandler(dup, &old);
  SAY("same %d", old == mine);
  MPI_Errhandler_free(&old);
  MPI_Errhandler_free(&mine);
  int x = 0, code = MPI_Send(&x, 1, MPI_INT, size + 3, 0, dup), class;
  MPI_Error_class(code, &class);
  SAY("bad rank class %d", class);
  code = MPI_Bcast(&x, -1, MPI_INT, 0, dup);
  SAY("bad count %d", code != MPI_SUCCESS);
  MPI_Comm_call_errhandler(dup, MPI_ERR_OTHER);
  MPI_Comm_set_errhandler(dup, MPI_ERRORS_RETURN);
  int user_class, user_code, length;
  char text[MPI_MAX_ERROR_STRING];
  MPI_Add_error_class(&user_class);
  MPI_Add_error_code(user_class, &user_code);
  MPI_Add_error_string(user_code, "my own");
  MPI_Error_class(user_code, &class);
  MPI_Error_string(user_code, text, &length);
  int *lastcode, flag;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_LASTUSEDCODE, &lastcode, &flag);
  SAY("added %d %d class %d %s %d last %d", user_class, user_code, class, text, length, *lastcode);
  for (int i = 0; i <= MPI_ERR_LASTCODE; ++i) {
    MPI_Error_string(i, text, &length);
    SAY("error %d %s %d", i, text, length);
  }
  MPI_Comm_free(&dup);
}

static void infos(void) {
  MPI_Info info, copy_of;
  int n, flag, length;
  char value[64], key[MPI_MAX_INFO_KEY + 1];
  MPI_Info_create(&info);
  MPI_Info_set(info, "one", "first value");
  MPI_Info_set(info, "two", "2");
  MPI_Info_set(info, "one", "changed");
  MPI_Info_dup(info, &copy_of);
  MPI_Info_delete(info, "one");
  MPI_Info_get_nkeys(info, &n);
  MPI_Info_get_nthkey(copy_of, 1, key);
  MPI_Info_get(copy_of, "one", 4, value, &flag);
  MPI_Info_get_valuelen(copy_of, "one", &length, &flag);
  SAY("info %d %s %s %d %d", n, key, value, length, flag);
  MPI_Info_get(copy_of, "none", 4, value, &flag);
  SAY("info none %d", flag);
  MPI_Info_free(&info);
  MPI_Info_free(&copy_of);
}

static void conversions(void) {
  SAY("f2c %d %d %d %d %d %d", MPI_Comm_c2f(MPI_COMM_WORLD), MPI_Comm_c2f(MPI_COMM_NULL),
      MPI_Type_c2f(MPI_DOUBLE), MPI_Op_c2f(MPI_SUM), MPI_Group_c2f(MPI_GROUP_EMPTY),
      MPI_Errhandler_c2f(MPI_ERRORS_RETURN));
  SAY("back %d %d", MPI_Comm_f2c(1) == MPI_COMM_SELF, MPI_Type_f2c(17) == MPI_DOUBLE_PRECISION);
  MPI_Comm dup;
  MPI_Comm_dup(MPI_COMM_SELF, &dup);
  MPI_Fint f = MPI_Comm_c2f(dup);
  SAY("dup back %d", MPI_Comm_f2c(f) == dup);
  MPI_Comm_free(&dup);
  SAY("bad %d", MPI_Comm_f2c(12345) == NULL);
}

int main(int argc, char** argv) {
  int provided, flag;
  MPI_Initialized(&flag);
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  char path[4096];
  snprintf(path, sizeof path, "%s.%d", argc > 1 ? argv[1] : "out", rank);
  if (!freopen(path, "w", stdout)) return 2;
  groups();
  communicators();
  grids();
  attributes();
  errors();
  infos();
  conversions();
  MPI_Finalize();
  MPI_Finalized(&flag);
  SAY("finalized %d", flag);
  return 0;
}
