// MPI_Wtime across restarts.
#pragma once

namespace ckpt::shim {

// After a restart: MPI_Wtime goes on from the last value the program has seen.
void keep_time_monotonic();

}  // namespace ckpt::shim
