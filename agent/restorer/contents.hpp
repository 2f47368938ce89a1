// Pages: read from the payload to where they belong, and verified on the way.
//
// Purpose: the stage `contents`. A block of the payload (the pages one
//   checksum covers) is read by one preadv into its places and hashed there,
//   so each byte is moved once; past the page cache where the file system can. A wrong checksum
//   ends the restore before the program has run an instruction.
// Errors: die() with stage, block number and errno.
#pragma once

#include "agent/restorer/restore_plan.h"

namespace ckpt::restorer {

void read_contents(const ckpt_restore_plan& plan);

}  // namespace ckpt::restorer
