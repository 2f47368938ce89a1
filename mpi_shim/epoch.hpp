// The restart block and the epoch of the lower half in use.
//
// Purpose: ckpt-restore-rank writes the block after it put the memory back;
//   epoch 0 is the job's first start, each restart adds 1.
// Ownership: static memory of the shim. Threads: any may read; written while
//   no thread of the process runs.
// Errors: none. Source: format/wire/shim_channel.h.
#pragma once

#include <cstdint>

#include "format/wire/shim_channel.h"

namespace ckpt::shim {

[[gnu::visibility("hidden")]] extern ckpt_restart_block g_restart_block;

inline std::uint32_t current_epoch() { return g_restart_block.epoch; }

}  // namespace ckpt::shim
