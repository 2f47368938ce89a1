// The state of one stopped thread, as it must be in an image.
//
// Purpose: capture_thread reads what can be read from outside; ask_thread adds
//   what the thread itself must be asked for (alternate stack, tid address).
// Ownership: values. Threads: only the tracer's.
// Errors: the failed call with its thread.
// Source: ptrace(2), sigaltstack(2), prctl(2) PR_GET_TID_ADDRESS, rseq(2).
#pragma once

#include "agent/snapshot/scratch_bytes.hpp"
#include "agent/tracee/remote_syscalls.hpp"
#include "agent/tracee/stopped_process.hpp"
#include "format/image/model.hpp"

namespace ckpt::snapshot {

struct CapturedThread {
  image::Thread state;
  tracee::Registers resume{};  // with which the running program goes on
};

Result<CapturedThread> capture_thread(tracee::PtracePort& port, int pid,
                                      const tracee::StoppedThread& thread);

// `calls` is begun; `scratch` taken.
Status ask_thread(tracee::RemoteSyscalls& calls, ScratchBytes& scratch, image::Thread& state);

}  // namespace ckpt::snapshot
