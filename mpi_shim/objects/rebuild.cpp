// After a restart: the lower half is a fresh one, and each live object gets a
// handle of it again. Doors are closed and nobody is inside; all ranks do it.
#include <algorithm>
#include <vector>

#include "lower_calls.hpp"
#include "mpi_shim/farewells.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/communicators.hpp"
#include "mpi_shim/objects/environment.hpp"
#include "mpi_shim/objects/errors.hpp"
#include "mpi_shim/objects/object_tables.hpp"
#include "mpi_shim/objects/ops.hpp"
#include "mpi_shim/objects/type_tree.hpp"

namespace ckpt::shim {

namespace {

// Tags of MPI_Comm_create_group: any value below the least upper bound MPI promises.
constexpr std::uint64_t kTags = 32768;

std::string failure(const std::string& what, int code) {
  std::string text;
  if (!error_text(code, text)) text = "error " + std::to_string(code);
  return what + ": " + text;
}

int rebuild_communicator(Communicator& comm) {
  const auto world = static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD));
  MPI_Group members = new_lower_group(comm.world_ranks);
  MPI_Comm lower;
  int code = lower::Comm_create_group(world, members, static_cast<int>(comm.gid % kTags), &lower);
  free_lower_group(members);
  if (code != MPI_SUCCESS) return code;
  if (comm.cart) {
    // The lower half needs the grid for its neighbourhood collectives.
    const MPI_Comm plain = lower;
    code = lower::Cart_create(plain, static_cast<int>(comm.cart->dims.size()),
                              comm.cart->dims.data(), comm.cart->periods.data(), 0, &lower);
    MPI_Comm done = plain;
    lower::Comm_free(&done);
    if (code != MPI_SUCCESS) return code;
  }
  comm.handle->lower = lower;
  return MPI_SUCCESS;
}

// All members meet in the order of the gids, which is the same everywhere, so
// nobody waits for a rank that waits for it.
std::string rebuild_communicators() {
  std::vector<Communicator*> live;
  for (Communicator* comm : tables().communicators) {
    if (is_predefined(comm->handle)) continue;
    comm->handle->lower = nullptr;
    // What a receive on such a communicator waits for can never be sent.
    if (!comm->gone) live.push_back(comm);
  }
  std::sort(live.begin(), live.end(),
            [](const Communicator* a, const Communicator* b) { return a->gid < b->gid; });
  for (Communicator* comm : live)
    if (const int code = rebuild_communicator(*comm))
      return failure("communicator " + std::to_string(comm->gid), code);
  return "";
}

std::string rebuild_datatypes() {
  for (Datatype* type : tables().datatypes) type->handle->lower = nullptr;
  for (Datatype* type : tables().datatypes) {
    if (const int code = build_lower_tree(*type)) return failure("datatype", code);
    tables().upper_datatypes[type->handle->lower] = type->handle;
  }
  return "";
}

std::string rebuild_ops() {
  for (Op* op : tables().ops)
    if (const int code = build_lower(*op)) return failure("operation", code);
  return "";
}

std::string reattach_buffer() {
  if (!g_attached_buffer.address) return "";
  const int code = lower::Buffer_attach(g_attached_buffer.address, g_attached_buffer.size);
  return code == MPI_SUCCESS ? "" : failure("attached buffer", code);
}

}  // namespace

std::string rebuild_objects() {
  const auto* world = communicator(predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_WORLD));
  if (g_lower->rank != world->rank || g_lower->world_size != world->size)
    return "MPI_COMM_WORLD: rank " + std::to_string(g_lower->rank) + " of " +
           std::to_string(g_lower->world_size) + " instead of " + std::to_string(world->rank) +
           " of " + std::to_string(world->size);
  tables().upper_datatypes.clear();
  take_lower_predefined();
  keep_time_monotonic();
  for (auto* step : {&agree_on_farewells, &rebuild_communicators, &restart_farewells,
                     &rebuild_datatypes, &rebuild_ops, &reattach_buffer})
    if (std::string text = step(); !text.empty()) return text;
  return "";
}

}  // namespace ckpt::shim
