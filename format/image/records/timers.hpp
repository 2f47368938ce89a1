// Timers: the tables `interval_timers` and `posix_timers` of a rank.
// Threads: under hdf5::Session. Errors: see dataset.hpp. Source: SCHEMA.md,
// getitimer(2), timer_create(2).
#pragma once

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_timers(hid_t group, const Process& process);
Status read_timers(hid_t group, Process& process);

}  // namespace ckpt::image::records
