// What a process has beside memory and threads, set by ordinary calls before
// the jump: working directory, umask, limits; and no descriptors that are
// nobody's.
//
// Threads: one. Errors: a directory that is gone is an error; a limit that may
// not be raised is a warning (only root may raise hard limits).
#pragma once

#include <string>
#include <vector>

#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

// Descriptors this process was started with beyond 0, 1, 2 (but for the one
// Slurm's PMI talks through): the program did not have them.
Status close_inherited_descriptors();

// So that parked descriptors above the program's highest find room.
void raise_descriptor_limit();

Status enter_surroundings(const image::Process& process, std::vector<std::string>& warnings);

}  // namespace ckpt::restore
