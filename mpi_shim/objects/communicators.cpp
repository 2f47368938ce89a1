#include "mpi_shim/objects/communicators.hpp"

#include <algorithm>
#include <numeric>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/attributes.hpp"
#include "mpi_shim/objects/errors.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

namespace {

constexpr std::uint64_t kWorldGid = 1;
constexpr std::uint64_t kSelfGid = 1ull << 63;

bool in_world_order(const std::vector<int>& ranks) {
  for (std::size_t i = 0; i < ranks.size(); ++i)
    if (ranks[i] != static_cast<int>(i)) return false;
  return true;
}

void set_members(Communicator& comm, std::vector<int> members) {
  comm.size = static_cast<int>(members.size());
  comm.rank = static_cast<int>(std::find(members.begin(), members.end(), my_world_rank()) -
                               members.begin());
  comm.world_order = in_world_order(members);
  comm.world_ranks = std::move(members);
}

std::uint64_t hash_of(const std::vector<std::uint64_t>& words) {
  const std::uint64_t hash = XXH3_64bits(words.data(), words.size() * sizeof words[0]);
  // Derived gids stay clear of the world's and of those of MPI_COMM_SELF.
  return (hash & ~kSelfGid) <= kWorldGid ? 2 : hash & ~kSelfGid;
}

void append(std::vector<std::uint64_t>& words, const std::vector<int>& members) {
  for (const int rank : members) words.push_back(static_cast<std::uint64_t>(rank));
}

void init_predefined_communicator(ckpt_predefined which, std::uint64_t gid, const char* name,
                                  std::vector<int> members) {
  auto* comm = static_cast<Communicator*>(g_predefined[which]->state);
  comm->gid = gid;
  comm->name = name;
  set_members(*comm, std::move(members));
  comm->errhandler =
      static_cast<Errhandler*>(g_predefined[CKPT_HANDLE_MPI_ERRORS_ARE_FATAL]->state);
  ObjectsLock lock(objects_mutex());
  enlist(tables().communicators, comm);
}

void free_lower(Communicator& comm) {
  auto lower = static_cast<MPI_Comm>(comm.own.lower);
  if (lower) lower::Comm_free(&lower);
  comm.own.lower = nullptr;
}

}  // namespace

int my_world_rank() { return g_lower->rank; }

void init_communicators() {
  std::vector<int> world(static_cast<std::size_t>(g_lower->world_size));
  std::iota(world.begin(), world.end(), 0);
  const auto rank = static_cast<std::uint64_t>(my_world_rank());
  init_predefined_communicator(CKPT_HANDLE_MPI_COMM_WORLD, kWorldGid, "MPI_COMM_WORLD",
                               std::move(world));
  init_predefined_communicator(CKPT_HANDLE_MPI_COMM_SELF, kSelfGid | rank, "MPI_COMM_SELF",
                               {my_world_rank()});
}

std::vector<int> members_of(MPI_Comm lower) {
  MPI_Group group, world;
  lower::Comm_group(lower, &group);
  lower::Comm_group(static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD)), &world);
  int size = 0;
  lower::Group_size(group, &size);
  std::vector<int> ranks(static_cast<std::size_t>(size)), members(ranks.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  lower::Group_translate_ranks(group, size, ranks.data(), world, members.data());
  lower::Group_free(&group);
  lower::Group_free(&world);
  return members;
}

std::uint64_t derived_gid(const Communicator& parent, const std::vector<int>& members) {
  std::vector<std::uint64_t> words = {parent.gid, parent.clock.begun};
  append(words, members);
  return hash_of(words);
}

std::uint64_t group_gid(const Communicator& parent, const std::vector<int>& members, int tag,
                        std::uint64_t turn) {
  std::vector<std::uint64_t> words = {parent.gid, ~0ull, static_cast<std::uint64_t>(tag), turn};
  append(words, members);
  return hash_of(words);
}

Communicator* adopt_communicator(MPI_Comm lower, const Communicator& parent,
                                 std::vector<int> members, std::uint64_t gid) {
  auto* comm = new Communicator;
  comm->own.kind = HandleKind::communicator;
  comm->own.state = comm;
  comm->own.lower = lower;
  comm->handle = &comm->own;
  comm->gid = gid;
  set_members(*comm, std::move(members));
  ObjectsLock lock(objects_mutex());
  comm->errhandler = share(parent.errhandler);
  enlist(tables().communicators, comm);
  return comm;
}

Communicator* derived_communicator(MPI_Comm lower, const Communicator& parent) {
  if (lower == static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_NULL))) return nullptr;
  std::vector<int> members = members_of(lower);
  const std::uint64_t gid = derived_gid(parent, members);
  return adopt_communicator(lower, parent, std::move(members), gid);
}

MPI_Group new_lower_group(const std::vector<int>& world_ranks) {
  MPI_Group world, group;
  lower::Comm_group(static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD)), &world);
  lower::Group_incl(world, static_cast<int>(world_ranks.size()), world_ranks.data(), &group);
  lower::Group_free(&world);
  return group;
}

void free_lower_group(MPI_Group group) {
  if (group != static_cast<MPI_Group>(lower_predefined(CKPT_HANDLE_MPI_GROUP_EMPTY)))
    lower::Group_free(&group);
}

void release(Communicator* comm) {
  if (is_predefined(comm->handle) || !drop_reference(comm->handle)) return;
  forget_fortran(comm->handle);
  release(comm->errhandler);
  {
    ObjectsLock lock(objects_mutex());
    delist(tables().communicators, comm);
  }
  {
    Door door("MPI_Comm_free");
    free_lower(*comm);
  }
  delete comm;
}

}  // namespace ckpt::shim
