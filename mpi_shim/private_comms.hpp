// Communicators of the shim's own in the lower half.
//
// Purpose: `world` carries the drain's barrier, `self` hands logged messages
//   over to the program's receives; so neither meets a message of the program.
// Ownership: made at MPI_Init and again after a restart; never freed (the lower
//   half's MPI_Finalize does).
// Threads: `world`: the shim's thread alone. `self`: any, inside a door.
// Errors: MPI error codes. Source: none.
#pragma once

#include <mpi.h>

namespace ckpt::shim {

struct PrivateComms {
  MPI_Comm world = nullptr;  // lower handles
  MPI_Comm self = nullptr;
};
extern PrivateComms g_private;

// Tags on `self` below it are for deliveries; nothing is ever sent with it.
inline constexpr int kNeverSentTag = 1 << 14;

// Collective over all ranks, with the lower half's handles.
int make_private_comms();

}  // namespace ckpt::shim
