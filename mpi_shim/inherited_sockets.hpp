// Sockets that a rank got from its launcher by mistake.
//
// Purpose: slurmstepd's PMIx plugin leaves a listening socket open in the tasks it
//   starts (seen with Slurm 22.05). The program knows nothing of it, and no
//   checkpoint could save it: in a task of srun, a socket that another user made
//   (slurmstepd is root's) is closed before the program begins.
// Threads: call before there are others. Errors: none; what is left is named by the
//   checkpoint. Source: fstat(2) of a socket gives its maker's uid.
#pragma once

namespace ckpt::shim {

void close_launchers_sockets();

}  // namespace ckpt::shim
