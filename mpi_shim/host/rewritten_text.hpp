// Finds, or has ckpt-rewrite make, the rewritten copy of a library's text.
//
// Threads: any; several processes may make the same copy at once (it appears
//   by rename). Errors: -errno; a refusal is -ENOEXEC, and its reason is kept in
//   control().error. While the lower half is being loaded a refusal does not
//   return at all: it ends the load (return_to_upper), because ld.so would
//   end the process.
#pragma once

#include <stdint.h>

#include "mpi_shim/host/rewritten_format.h"

namespace ckpt::lower {

// A descriptor of the copy of the file behind `fd`, and its trailer.
int open_rewritten(int fd, RewrittenTrailer* trailer);

// Checks that control().cache_dir is ours alone, making it if missing.
long open_cache();

}  // namespace ckpt::lower
