// Signals: the tables `signal_actions` and `pending_signals` of a rank. The
// latter holds the process's own queue and each thread's.
// Threads: under hdf5::Session. Errors: see dataset.hpp. Source: SCHEMA.md,
// sigaction(2), PTRACE_PEEKSIGINFO.
#pragma once

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_signals(hid_t group, const Process& process);
// process.threads must have been read before: their queues are filled in.
Status read_signals(hid_t group, Process& process);

}  // namespace ckpt::image::records
