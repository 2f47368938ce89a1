// The shim's own thread: answers the agent and does all that needs MPI while
// the program computes.
//
// Purpose: connects to the agent, drives this rank through QUIESCE, CUT, DRAIN
//   and RESUME, and rebuilds the MPI state after a restart.
// Ownership: started at MPI_Init, one for a process, never ends before
//   MPI_Finalize. Signals are the program's: it blocks all of them.
// Threads: what is here may be called by the program's threads.
// Errors: nothing that fails here harms the program: one line on stderr, the
//   doors open, and it tries to reach an agent again.
// Source: ARCHITECTURE.md "A checkpoint", "A restart".
#pragma once

namespace ckpt::shim {

// Starts it; MPI is up and the doors are open. False when no thread can be had.
bool start_shim_thread(const char* agent_socket);

// MPI_Finalize: tells the agent and ends the thread. Outside of any door, all
// ranks being in MPI_Finalize.
void stop_shim_thread();

}  // namespace ckpt::shim
