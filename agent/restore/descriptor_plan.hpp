// Descriptors: each opened now, put at its number by the restorer.
//
// Purpose: a file that is gone, shorter than at the checkpoint or another kind
//   of file is found before anything is changed. Cutting files back to their
//   recorded size is left to the restorer, after the pages were verified.
// Ownership: opened files are parked. Threads: one.
// Errors: names descriptor and path.
#pragma once

#include "agent/restore/arena_memory.hpp"
#include "agent/restore/parked_files.hpp"
#include "agent/restorer/restore_plan.h"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

// One more than the highest number the program uses; at least 64.
int first_parking_number(const image::Process& process);

Status plan_descriptors(const image::Process& process, ArenaMemory& scratch, ParkedFiles& files,
                        ckpt_restore_plan& plan);

}  // namespace ckpt::restore
