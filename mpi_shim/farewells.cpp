#include "mpi_shim/farewells.hpp"

#include <algorithm>
#include <vector>

#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

namespace {

struct Farewell {
  Communicator* comm;
  MPI_Request barrier;  // lower
};

std::vector<Farewell>& farewells() {
  static auto* const all = new std::vector<Farewell>;
  return *all;
}

int begin_barrier(Farewell& farewell) {
  return lower::Ibarrier(static_cast<MPI_Comm>(farewell.comm->handle->lower), &farewell.barrier);
}

bool over(Farewell& farewell) {
  int ended = 0;
  const int error = lower::Test(&farewell.barrier, &ended, MPI_STATUS_IGNORE);
  return ended != 0 || error != MPI_SUCCESS;
}

MPI_Comm lower_world() {
  return static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD));
}

// The gids of all ranks' freed communicators, ascending, each once.
int gather_gids(std::vector<std::uint64_t>& gids) {
  const auto int_type = static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_INT));
  const auto gid_type = static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_UINT64_T));
  const auto ranks = static_cast<std::size_t>(g_lower->world_size);
  std::vector<std::uint64_t> own;
  for (const Farewell& farewell : farewells()) own.push_back(farewell.comm->gid);
  const int count = static_cast<int>(own.size());
  std::vector<int> counts(ranks), places(ranks);
  int error = lower::Allgather(&count, 1, int_type, counts.data(), 1, int_type, lower_world());
  if (error != MPI_SUCCESS) return error;
  int sum = 0;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    places[rank] = sum;
    sum += counts[rank];
  }
  gids.resize(static_cast<std::size_t>(sum));
  if (sum == 0) return MPI_SUCCESS;
  error = lower::Allgatherv(own.data(), count, gid_type, gids.data(), counts.data(), places.data(),
                            gid_type, lower_world());
  std::sort(gids.begin(), gids.end());
  gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
  return error;
}

}  // namespace

int say_farewell(Communicator& comm) {
  Door door("MPI_Comm_free");
  poll_farewells();
  Farewell farewell = {&comm, nullptr};
  if (const int error = begin_barrier(farewell); error != MPI_SUCCESS) return error;
  comm.freed = true;
  RequestsLock lock;
  farewells().push_back(farewell);
  return MPI_SUCCESS;
}

void poll_farewells() {
  std::vector<Communicator*> gone;
  {
    RequestsLock lock;
    std::erase_if(farewells(), [&gone](Farewell& farewell) {
      if (!over(farewell)) return false;
      gone.push_back(farewell.comm);
      return true;
    });
  }
  for (Communicator* comm : gone) {
    comm->gone = true;
    release(comm);
  }
}

void finish_farewells() {
  Door door("MPI_Finalize");
  while (!farewells().empty()) poll_farewells();
}

std::string agree_on_farewells() {
  std::vector<std::uint64_t> gids;
  if (gather_gids(gids) != MPI_SUCCESS) return "freed communicators: no agreement";
  if (gids.empty()) return "";
  std::vector<int> holders(gids.size());
  for (std::size_t i = 0; i < gids.size(); ++i) {
    const Communicator* comm = communicator_of_gid(gids[i]);
    holders[i] = comm && !comm->gone ? 1 : 0;
  }
  const auto int_type = static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_INT));
  const auto sum = static_cast<MPI_Op>(lower_predefined(CKPT_HANDLE_MPI_SUM));
  std::vector<int> total(holders.size());
  if (lower::Allreduce(holders.data(), total.data(), static_cast<int>(holders.size()), int_type,
                       sum, lower_world()) != MPI_SUCCESS)
    return "freed communicators: no agreement";
  std::vector<Communicator*> gone;
  std::erase_if(farewells(), [&](const Farewell& farewell) {
    const auto at = std::lower_bound(gids.begin(), gids.end(), farewell.comm->gid) - gids.begin();
    if (total[static_cast<std::size_t>(at)] == farewell.comm->size) return false;
    gone.push_back(farewell.comm);
    return true;
  });
  for (Communicator* comm : gone) {
    comm->handle->lower = nullptr;
    comm->gone = true;
    release(comm);
  }
  return "";
}

std::string restart_farewells() {
  std::sort(farewells().begin(), farewells().end(),
            [](const Farewell& a, const Farewell& b) { return a.comm->gid < b.comm->gid; });
  for (Farewell& farewell : farewells()) {
    if (begin_barrier(farewell) != MPI_SUCCESS) return "freed communicators: no barrier";
  }
  return "";
}

}  // namespace ckpt::shim
