// From an image to a process that is that rank again.
//
// Purpose: all of a restore that ordinary code can do: reads the image, makes
//   the plan, opens the files, loads ckpt-restorer, jumps.
// Ownership: the process becomes another: nothing comes back on success.
// Threads: one, and no other may exist in the process.
// Errors: everything before the jump is a RestoreError with an exit code
//   (restore_plan.h); nothing outside this process was changed by then, except
//   that missing shared memory files were made.
#pragma once

#include <cstdint>
#include <string>

#include "agent/restore/rank_identity.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

struct RestoreOptions {
  RankIdentity identity;
  std::string parts_dir;  // where ckpt-restorer and ckpt-mpi-host lie
  std::string cache_dir;  // rewritten libraries
  std::string agent_socket;
  std::string progress_file;  // of format/wire/restart_progress.h; need not exist
  std::string fault_stage;    // "" or a stage at which to die (tests)
  bool accept_changed_files = false;
};

struct RestoreError {
  Error error;
  int exit_code = 0;
};

// Returns only when it fails.
RestoreError restore_rank(const RestoreOptions& options);

}  // namespace ckpt::restore
