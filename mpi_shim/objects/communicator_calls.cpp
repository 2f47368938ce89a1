// MPI_Comm_*: queries, names, comparison, and all that makes or frees one.
#include <algorithm>
#include <cstring>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/farewells.hpp"
#include "mpi_shim/lowering.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"
#include "mpi_shim/objects/communicators.hpp"
#include "mpi_shim/objects/info.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

namespace {

MPI_Comm null_comm() { return predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_NULL); }

// What MPI_Comm_dup takes over beyond the members.
int inherit(Communicator& from, Communicator& to) {
  if (from.cart) to.cart = std::make_unique<CartTopology>(*from.cart);
  return copy_attributes(from, to);
}

int duplicate(MPI_Comm comm, const InfoEntries* info, MPI_Comm* newcomm, const char* function) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, function);
  Communicator* made = nullptr;
  int code;
  {
    CollectiveDoor door(*state, function);
    MPI_Comm lower;
    code = lower::Comm_dup(lower_of(comm), &lower);
    if (code == MPI_SUCCESS) made = derived_communicator(lower, *state);
  }
  if (code != MPI_SUCCESS) return raise_error(comm, code, function);
  made->info = info ? *info : state->info;
  *newcomm = handle_of_communicator(made);
  code = inherit(*state, *made);
  return code == MPI_SUCCESS ? code : raise_error(comm, code, function);
}

// Where the members of a group meet to make a communicator without the rest of
// the parent: a record for its collective clock alone, so that a cut finds no
// member waiting inside for one that is kept out. No lower half has it.
Communicator& meeting(const Communicator& parent, const std::vector<int>& members, int tag) {
  const std::uint64_t gid = group_gid(parent, members, tag, 0);
  ObjectsLock lock(objects_mutex());
  if (Communicator* known = communicator_of_gid(gid)) return *known;
  auto* made = new Communicator;
  made->handle = &made->own;
  made->own.kind = HandleKind::communicator;
  made->own.state = made;
  made->gid = gid;
  made->gone = true;
  made->size = static_cast<int>(members.size());
  enlist(tables().communicators, made);
  return *made;
}

}  // namespace

namespace calls {

int Comm_rank(MPI_Comm comm, int* rank) {
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_rank");
  *rank = state->rank;
  return MPI_SUCCESS;
}

int Comm_size(MPI_Comm comm, int* size) {
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_size");
  *size = state->size;
  return MPI_SUCCESS;
}

int Comm_test_inter(MPI_Comm comm, int* flag) {
  if (!checked(comm)) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_test_inter");
  *flag = 0;
  return MPI_SUCCESS;
}

int Comm_remote_size(MPI_Comm comm, int*) {
  return raise_error(comm, MPI_ERR_COMM, "MPI_Comm_remote_size");
}

int Comm_remote_group(MPI_Comm comm, MPI_Group*) {
  return raise_error(comm, MPI_ERR_COMM, "MPI_Comm_remote_group");
}

int Comm_get_parent(MPI_Comm* parent) {
  *parent = null_comm();
  return MPI_SUCCESS;
}

int Comm_compare(MPI_Comm comm1, MPI_Comm comm2, int* result) {
  const Communicator* one = checked(comm1);
  const Communicator* two = checked(comm2);
  if (!one || !two) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_compare");
  if (one == two) {
    *result = MPI_IDENT;
  } else if (one->world_ranks == two->world_ranks) {
    *result = MPI_CONGRUENT;
  } else {
    *result = std::is_permutation(one->world_ranks.begin(), one->world_ranks.end(),
                                  two->world_ranks.begin(), two->world_ranks.end())
                  ? MPI_SIMILAR
                  : MPI_UNEQUAL;
  }
  return MPI_SUCCESS;
}

int Comm_set_name(MPI_Comm comm, const char* comm_name) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_set_name");
  if (!comm_name) return raise_error(comm, MPI_ERR_ARG, "MPI_Comm_set_name");
  state->name.assign(comm_name, strnlen(comm_name, MPI_MAX_OBJECT_NAME - 1));
  return MPI_SUCCESS;
}

int Comm_get_name(MPI_Comm comm, char* comm_name, int* resultlen) {
  if (comm == null_comm()) {
    std::strcpy(comm_name, "MPI_COMM_NULL");
    *resultlen = static_cast<int>(std::strlen(comm_name));
    return MPI_SUCCESS;
  }
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_get_name");
  std::memcpy(comm_name, state->name.c_str(), state->name.size() + 1);
  *resultlen = static_cast<int>(state->name.size());
  return MPI_SUCCESS;
}

int Comm_group(MPI_Comm comm, MPI_Group* group) {
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_group");
  *group = handle_of_group(new_group(state->world_ranks));
  return MPI_SUCCESS;
}

int Comm_set_info(MPI_Comm comm, MPI_Info info) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_set_info");
  if (const InfoEntries* entries = info_entries(info)) state->info = *entries;
  return MPI_SUCCESS;
}

int Comm_get_info(MPI_Comm comm, MPI_Info* info_used) {
  const Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_get_info");
  *info_used = new_info(state->info);
  return MPI_SUCCESS;
}

int Comm_dup(MPI_Comm comm, MPI_Comm* newcomm) {
  return duplicate(comm, nullptr, newcomm, "MPI_Comm_dup");
}

int Comm_dup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm* newcomm) {
  static const InfoEntries none;
  const InfoEntries* entries = info_entries(info);
  return duplicate(comm, entries ? entries : &none, newcomm, "MPI_Comm_dup_with_info");
}

int Comm_idup(MPI_Comm comm, MPI_Comm* newcomm, MPI_Request* request) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_idup");
  Communicator* made = nullptr;
  int code;
  {
    CollectiveDoor door(*state, "MPI_Comm_idup");
    made = adopt_communicator(nullptr, *state, state->world_ranks,
                              derived_gid(*state, state->world_ranks));
    // The lower half writes the new handle where the record wants it.
    MPI_Request lower_request;
    code = lower::Comm_idup(lower_of(comm), reinterpret_cast<MPI_Comm*>(&made->own.lower),
                            &lower_request);
    if (code == MPI_SUCCESS) *request = adopt_collective(lower_request, *state);
  }
  if (code != MPI_SUCCESS) {
    release(made);
    return raise_error(comm, code, "MPI_Comm_idup");
  }
  made->info = state->info;
  *newcomm = handle_of_communicator(made);
  code = inherit(*state, *made);
  return code == MPI_SUCCESS ? code : raise_error(comm, code, "MPI_Comm_idup");
}

int Comm_split(MPI_Comm comm, int color, int key, MPI_Comm* newcomm) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_split");
  int code;
  {
    CollectiveDoor door(*state, "MPI_Comm_split");
    MPI_Comm lower;
    code = lower::Comm_split(lower_of(comm), color, key, &lower);
    if (code == MPI_SUCCESS) *newcomm = handle_or_null(derived_communicator(lower, *state));
  }
  return code == MPI_SUCCESS ? code : raise_error(comm, code, "MPI_Comm_split");
}

int Comm_split_type(MPI_Comm comm, int split_type, int key, MPI_Info info, MPI_Comm* newcomm) {
  (void)info;  // none of the hints it may hold changes the result
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_split_type");
  int code;
  {
    CollectiveDoor door(*state, "MPI_Comm_split_type");
    MPI_Comm lower;
    code = lower::Comm_split_type(
        lower_of(comm), split_type, key,
        static_cast<MPI_Info>(lower_predefined(CKPT_HANDLE_MPI_INFO_NULL)), &lower);
    if (code == MPI_SUCCESS) *newcomm = handle_or_null(derived_communicator(lower, *state));
  }
  return code == MPI_SUCCESS ? code : raise_error(comm, code, "MPI_Comm_split_type");
}

static Group* checked_group(MPI_Group handle) {
  Handle* record = handle_of(handle);
  if (!record || record->kind != HandleKind::group) return nullptr;
  return static_cast<Group*>(record->state);
}

int Comm_create(MPI_Comm comm, MPI_Group group, MPI_Comm* newcomm) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_create");
  const Group* members = checked_group(group);
  if (!members) return raise_error(comm, MPI_ERR_GROUP, "MPI_Comm_create");
  int code;
  {
    CollectiveDoor door(*state, "MPI_Comm_create");
    MPI_Group lower_members = new_lower_group(members->world_ranks);
    MPI_Comm lower;
    code = lower::Comm_create(lower_of(comm), lower_members, &lower);
    free_lower_group(lower_members);
    if (code == MPI_SUCCESS) *newcomm = handle_or_null(derived_communicator(lower, *state));
  }
  return code == MPI_SUCCESS ? code : raise_error(comm, code, "MPI_Comm_create");
}

int Comm_create_group(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm* newcomm) {
  Communicator* state = checked(comm);
  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "MPI_Comm_create_group");
  const Group* members = checked_group(group);
  if (!members) return raise_error(comm, MPI_ERR_GROUP, "MPI_Comm_create_group");
  if (members->rank == MPI_UNDEFINED) {
    *newcomm = null_comm();
    return MPI_SUCCESS;
  }
  Communicator& met = meeting(*state, members->world_ranks, tag);
  int code;
  {
    CollectiveDoor door(met, "MPI_Comm_create_group");
    MPI_Group lower_members = new_lower_group(members->world_ranks);
    MPI_Comm lower;
    code = lower::Comm_create_group(lower_of(comm), lower_members, tag, &lower);
    free_lower_group(lower_members);
    if (code == MPI_SUCCESS) {
      *newcomm = handle_of_communicator(
          adopt_communicator(lower, *state, members->world_ranks,
                             group_gid(*state, members->world_ranks, tag, met.clock.begun)));
    }
  }
  return code == MPI_SUCCESS ? code : raise_error(comm, code, "MPI_Comm_create_group");
}

static int free_communicator(MPI_Comm* comm, const char* function) {
  Communicator* state = checked(*comm);
  if (!state || is_predefined(state->handle)) return raise_error(kNoHandle, MPI_ERR_COMM, function);
  if (const int code = delete_attributes(*state); code != MPI_SUCCESS)
    return raise_error(*comm, code, function);
  if (const int code = say_farewell(*state); code != MPI_SUCCESS)
    return raise_error(*comm, code, function);
  *comm = null_comm();
  return MPI_SUCCESS;
}

int Comm_free(MPI_Comm* comm) { return free_communicator(comm, "MPI_Comm_free"); }

int Comm_disconnect(MPI_Comm* comm) { return free_communicator(comm, "MPI_Comm_disconnect"); }

}  // namespace calls

}  // namespace ckpt::shim
