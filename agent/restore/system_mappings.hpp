// vdso and vvar: where they are here, where the image wants them.
//
// Purpose: the program holds addresses of the vdso's functions, so these
//   mappings move to the image's places. Their size must be equal: another
//   size is another kernel, whose vdso the program cannot use.
// Threads: no shared state. Errors: names both sides.
// Source: proc(5); Linux 6.18 has [vvar], [vvar_vclock] and [vdso].
#pragma once

#include <vector>

#include "agent/restorer/restore_plan.h"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

struct SystemMapping {
  std::uint64_t start = 0, end = 0;
  bool vdso = false;
};

// Of this process, ascending.
Result<std::vector<SystemMapping>> own_system_mappings();

Result<std::vector<ckpt_plan_move>> plan_moves(const std::vector<SystemMapping>& own,
                                               const std::vector<image::Region>& regions);

}  // namespace ckpt::restore
