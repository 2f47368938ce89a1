// State of a stopped process that is neither a thread's nor memory.
//
// Purpose: capture_process reads from /proc; ask_process asks, in one of its
//   threads, for brk and timers; ask_signal_actions for the handlers (in the
//   forked copy, which has them too, so that the rank need not wait for it).
// Ownership: values. Threads: only the tracer's.
// Errors: the failed call or file.
// Source: proc(5), getitimer(2), timer_gettime(2), sigaction(2).
#pragma once

#include "agent/snapshot/scratch_bytes.hpp"
#include "agent/tracee/remote_syscalls.hpp"
#include "format/image/model.hpp"

namespace ckpt::snapshot {

// Executable, cwd, umask, layout (without brk), auxv, limits, shared pending signals.
Status capture_process(tracee::PtracePort& port, int pid, int tid, image::Process& process);

Status ask_process(tracee::RemoteSyscalls& calls, ScratchBytes& scratch, image::Process& process);

Status ask_signal_actions(tracee::RemoteSyscalls& calls, ScratchBytes& scratch,
                          image::Process& process);

}  // namespace ckpt::snapshot
