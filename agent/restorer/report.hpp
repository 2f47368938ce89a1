// The restorer's words: which stage it is in, and how it dies.
//
// Purpose: how far it is, for a watcher. A failure names rank, stage, subject and
//   errno on the plan's message descriptor and ends the process: half a program
//   must never run on.
// Threads: any; a message is one write.
#pragma once

#include <stdint.h>

#include "agent/restorer/restore_plan.h"
#include "format/wire/restart_progress.h"

namespace ckpt::restorer {

// Begins a stage; CKPT_FAULT names one at which the process is killed.
void enter_stage(ckpt_restore_plan& plan, ckpt_restore_stage stage);

// Says "ckpt-restore-rank: rank 3: stage map: mmap 0x7f12000: errno 12" and ends the process.
[[noreturn]] void die(const ckpt_restore_plan& plan, const char* operation, uint64_t subject,
                      long result);
[[noreturn]] void die_text(const ckpt_restore_plan& plan, const char* text);

// Tells whoever watches the restart; nobody need.
void tell_progress(const ckpt_restore_plan& plan, ckpt_restart_phase phase, uint64_t bytes);

// What is worth a word but is no reason to stop.
void warn(const ckpt_restore_plan& plan, const char* operation, uint64_t subject, long result);

// Dies of a failed system call; otherwise gives its value back.
inline long must(const ckpt_restore_plan& plan, const char* operation, uint64_t subject,
                 long result) {
  if (static_cast<unsigned long>(result) > -4096UL) die(plan, operation, subject, result);
  return result;
}

}  // namespace ckpt::restorer
