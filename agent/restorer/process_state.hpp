// What belongs to the process, not to a thread or a page: descriptors, signal
// actions, timers, pending signals, the lower half.
//
// Threads: the leader, while the others wait at the barrier or do not exist.
// Source: dup3(2), rt_sigaction(2), timer_create(2), setitimer(2),
//   rt_sigqueueinfo(2), mpi_shim/host/lower_half.h.
#pragma once

#include "agent/restorer/restore_plan.h"

namespace ckpt::restorer {

void place_descriptors(const ckpt_restore_plan& plan);

// MPI_Init under the new mpirun. NULL for a program without MPI.
ckpt_lower_table* load_lower_half(const ckpt_restore_plan& plan);

// After MPI_Init, which all ranks leave only when all have come to it.
void remove_meeting_names(const ckpt_restore_plan& plan);

// Handlers of the lower half (their addresses lie in the arena) are those it
// has just installed anew: they stay.
void set_signal_actions(const ckpt_restore_plan& plan);

void make_timers(const ckpt_restore_plan& plan);
void queue_pending_signals(const ckpt_restore_plan& plan);

// Last of all: time runs again.
void start_interval_timers(const ckpt_restore_plan& plan);

void fill_restart_block(const ckpt_restore_plan& plan, ckpt_lower_table* table);

}  // namespace ckpt::restorer
