// Counts of point-to-point messages on each channel: the markers of the cut.
//
// Purpose: sent[p]: messages this rank began to send to p; received[p]: those
//   of p that were completed here. Both since the job began: the image holds
//   them. A rank is drained when received[p] is the sent[] of each p for it.
// Ownership: arrays of the world's size, made at MPI_Init, kept for ever.
// Threads: changed inside doors only; under MPI_THREAD_MULTIPLE atomically.
//   The shim's thread reads with nobody inside.
// Units: messages. Ranks: of MPI_COMM_WORLD.
// Errors: none. Source: ARCHITECTURE.md "Markers".
#pragma once

#include <cstdint>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

[[gnu::visibility("hidden")]] extern std::uint64_t* g_sent;
[[gnu::visibility("hidden")]] extern std::uint64_t* g_received;

inline int world_rank_of(const Communicator& comm, int rank) {
  return comm.world_order ? rank : comm.world_ranks[static_cast<std::size_t>(rank)];
}

inline void count_message(std::uint64_t& counter) {
  if (g_thread_multiple)
    __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
  else
    ++counter;
}

// `rank` of `comm`; MPI_PROC_NULL counts for nothing.
inline void count_sent(const Communicator& comm, int rank) {
  if (rank >= 0) count_message(g_sent[world_rank_of(comm, rank)]);
}
inline void count_received(const Communicator& comm, int rank) {
  if (rank >= 0) count_message(g_received[world_rank_of(comm, rank)]);
}

}  // namespace ckpt::shim
