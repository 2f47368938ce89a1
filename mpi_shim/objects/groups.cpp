// MPI_Group_*: sets of world ranks; never cross into the lower half.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/communicators.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

Group* new_group(std::vector<int> world_ranks) {
  if (world_ranks.empty()) return group(predefined<MPI_Group>(CKPT_HANDLE_MPI_GROUP_EMPTY));
  auto* made = new Group;
  made->own.kind = HandleKind::group;
  made->own.state = made;
  made->handle = &made->own;
  const auto me = std::find(world_ranks.begin(), world_ranks.end(), my_world_rank());
  made->rank = me == world_ranks.end() ? MPI_UNDEFINED : static_cast<int>(me - world_ranks.begin());
  made->world_ranks = std::move(world_ranks);
  return made;
}

namespace {

const Group* checked(MPI_Group handle) {
  const Handle* record = handle_of(handle);
  if (!record || record->kind != HandleKind::group) return nullptr;
  return static_cast<const Group*>(record->state);
}

int bad_group(const char* function) { return raise_error(kNoHandle, MPI_ERR_GROUP, function); }

// Ranks named by triplets (first, last, stride), in their order; false when one
// is outside of the group or a stride is senseless.
bool expand(const Group& group, int n, int ranges[][3], std::vector<int>& ranks) {
  const int size = static_cast<int>(group.world_ranks.size());
  for (int i = 0; i < n; ++i) {
    const int first = ranges[i][0], last = ranges[i][1], stride = ranges[i][2];
    if (first < 0 || first >= size || last < 0 || last >= size || stride == 0) return false;
    if ((stride > 0 && first > last) || (stride < 0 && first < last)) return false;
    for (int rank = first; stride > 0 ? rank <= last : rank >= last; rank += stride)
      ranks.push_back(rank);
  }
  return true;
}

bool all_valid(const Group& group, const std::vector<int>& ranks) {
  std::unordered_set<int> seen;
  for (const int rank : ranks) {
    if (rank < 0 || rank >= static_cast<int>(group.world_ranks.size())) return false;
    if (!seen.insert(rank).second) return false;
  }
  return true;
}

int include(const Group& group, const std::vector<int>& ranks, MPI_Group* newgroup,
            const char* function) {
  if (!all_valid(group, ranks)) return raise_error(kNoHandle, MPI_ERR_RANK, function);
  std::vector<int> members;
  members.reserve(ranks.size());
  for (const int rank : ranks) members.push_back(group.world_ranks[static_cast<std::size_t>(rank)]);
  *newgroup = handle_of_group(new_group(std::move(members)));
  return MPI_SUCCESS;
}

int exclude(const Group& group, const std::vector<int>& ranks, MPI_Group* newgroup,
            const char* function) {
  if (!all_valid(group, ranks)) return raise_error(kNoHandle, MPI_ERR_RANK, function);
  const std::unordered_set<int> out(ranks.begin(), ranks.end());
  std::vector<int> members;
  for (std::size_t rank = 0; rank < group.world_ranks.size(); ++rank)
    if (!out.count(static_cast<int>(rank))) members.push_back(group.world_ranks[rank]);
  *newgroup = handle_of_group(new_group(std::move(members)));
  return MPI_SUCCESS;
}

// Members of `one` that are (or are not) in `two`, in the order of `one`.
std::vector<int> select(const Group& one, const Group& two, bool wanted) {
  const std::unordered_set<int> others(two.world_ranks.begin(), two.world_ranks.end());
  std::vector<int> members;
  for (const int rank : one.world_ranks)
    if ((others.count(rank) != 0) == wanted) members.push_back(rank);
  return members;
}

}  // namespace

namespace calls {

int Group_size(MPI_Group group, int* size) {
  const Group* state = checked(group);
  if (!state) return bad_group("MPI_Group_size");
  *size = static_cast<int>(state->world_ranks.size());
  return MPI_SUCCESS;
}

int Group_rank(MPI_Group group, int* rank) {
  const Group* state = checked(group);
  if (!state) return bad_group("MPI_Group_rank");
  *rank = state->rank;
  return MPI_SUCCESS;
}

int Group_compare(MPI_Group group1, MPI_Group group2, int* result) {
  const Group* one = checked(group1);
  const Group* two = checked(group2);
  if (!one || !two) return bad_group("MPI_Group_compare");
  if (one->world_ranks == two->world_ranks) {
    *result = MPI_IDENT;
  } else {
    *result =
        one->world_ranks.size() == two->world_ranks.size() && select(*one, *two, false).empty()
            ? MPI_SIMILAR
            : MPI_UNEQUAL;
  }
  return MPI_SUCCESS;
}

int Group_translate_ranks(MPI_Group group1, int n, const int ranks1[], MPI_Group group2,
                          int ranks2[]) {
  const Group* one = checked(group1);
  const Group* two = checked(group2);
  if (!one || !two) return bad_group("MPI_Group_translate_ranks");
  std::unordered_map<int, int> places;
  for (std::size_t i = 0; i < two->world_ranks.size(); ++i)
    places.emplace(two->world_ranks[i], static_cast<int>(i));
  for (int i = 0; i < n; ++i) {
    if (ranks1[i] == MPI_PROC_NULL) {
      ranks2[i] = MPI_PROC_NULL;
      continue;
    }
    if (ranks1[i] < 0 || ranks1[i] >= static_cast<int>(one->world_ranks.size()))
      return raise_error(kNoHandle, MPI_ERR_RANK, "MPI_Group_translate_ranks");
    const auto found = places.find(one->world_ranks[static_cast<std::size_t>(ranks1[i])]);
    ranks2[i] = found == places.end() ? MPI_UNDEFINED : found->second;
  }
  return MPI_SUCCESS;
}

int Group_incl(MPI_Group group, int n, const int ranks[], MPI_Group* newgroup) {
  const Group* state = checked(group);
  if (!state) return bad_group("MPI_Group_incl");
  return include(*state, {ranks, ranks + n}, newgroup, "MPI_Group_incl");
}

int Group_excl(MPI_Group group, int n, const int ranks[], MPI_Group* newgroup) {
  const Group* state = checked(group);
  if (!state) return bad_group("MPI_Group_excl");
  return exclude(*state, {ranks, ranks + n}, newgroup, "MPI_Group_excl");
}

int Group_range_incl(MPI_Group group, int n, int ranges[][3], MPI_Group* newgroup) {
  const Group* state = checked(group);
  if (!state) return bad_group("MPI_Group_range_incl");
  std::vector<int> ranks;
  if (!expand(*state, n, ranges, ranks))
    return raise_error(kNoHandle, MPI_ERR_RANK, "MPI_Group_range_incl");
  return include(*state, ranks, newgroup, "MPI_Group_range_incl");
}

int Group_range_excl(MPI_Group group, int n, int ranges[][3], MPI_Group* newgroup) {
  const Group* state = checked(group);
  if (!state) return bad_group("MPI_Group_range_excl");
  std::vector<int> ranks;
  if (!expand(*state, n, ranges, ranks))
    return raise_error(kNoHandle, MPI_ERR_RANK, "MPI_Group_range_excl");
  return exclude(*state, ranks, newgroup, "MPI_Group_range_excl");
}

int Group_union(MPI_Group group1, MPI_Group group2, MPI_Group* newgroup) {
  const Group* one = checked(group1);
  const Group* two = checked(group2);
  if (!one || !two) return bad_group("MPI_Group_union");
  std::vector<int> members = one->world_ranks;
  const std::vector<int> rest = select(*two, *one, false);
  members.insert(members.end(), rest.begin(), rest.end());
  *newgroup = handle_of_group(new_group(std::move(members)));
  return MPI_SUCCESS;
}

int Group_intersection(MPI_Group group1, MPI_Group group2, MPI_Group* newgroup) {
  const Group* one = checked(group1);
  const Group* two = checked(group2);
  if (!one || !two) return bad_group("MPI_Group_intersection");
  *newgroup = handle_of_group(new_group(select(*one, *two, true)));
  return MPI_SUCCESS;
}

int Group_difference(MPI_Group group1, MPI_Group group2, MPI_Group* newgroup) {
  const Group* one = checked(group1);
  const Group* two = checked(group2);
  if (!one || !two) return bad_group("MPI_Group_difference");
  *newgroup = handle_of_group(new_group(select(*one, *two, false)));
  return MPI_SUCCESS;
}

int Group_free(MPI_Group* group) {
  const Group* state = checked(*group);
  if (!state) return bad_group("MPI_Group_free");
  if (!is_predefined(state->handle)) {
    forget_fortran(state->handle);
    delete state;
  }
  *group = predefined<MPI_Group>(CKPT_HANDLE_MPI_GROUP_NULL);
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
