// Threads: the tables `threads` and `registers`, and `xsave`, of a rank.
//
// Their queued signals are in `pending_signals` (signals.hpp).
// Threads: under hdf5::Session. Errors: see dataset.hpp; registers that are not
// one struct user_regs_struct are refused. Source: SCHEMA.md, sys/user.h.
#pragma once

#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_threads(hid_t group, const std::vector<Thread>& threads);
Result<std::vector<Thread>> read_threads(hid_t group);

}  // namespace ckpt::image::records
