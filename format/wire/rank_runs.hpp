// Sets of ranks, short on the wire.
//
// Purpose: between sorted lists of ranks and runs of a constant stride, so that
//   the ranks of a node are one entry whether they were placed by node (0-127)
//   or round robin (3, 4099, 8195 ...).
// Ownership: values. Threads: no shared state.
// Units: ranks of MPI_COMM_WORLD.
// Errors: expand() gives nothing for runs that are out of order or out of the
//   world; a run's count is not believed before that is known.
// Source: messages.def, RankRun.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "format/wire/messages.hpp"

namespace ckpt::wire {

// `ranks` in ascending order, each once. Equal lists give equal runs.
std::vector<RankRun> to_runs(const std::vector<std::int32_t>& ranks);

std::optional<std::vector<std::int32_t>> expand(const std::vector<RankRun>& runs,
                                                std::int32_t world_size);

// "0, 3-7, 12", cut off with "..." after a few pieces. Ascending order.
std::string rank_list(const std::vector<std::int32_t>& ranks);

}  // namespace ckpt::wire
