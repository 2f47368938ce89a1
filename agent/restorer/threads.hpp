// Threads: made by clone, given back what the kernel kept for each, and
// continued by a sigreturn from a frame that is built here.
//
// Purpose: the stages threads, timers and resume. The thread that runs the
//   restorer becomes the program's leader.
// Threads: start_threads() leaves every other thread waiting for plan.go;
//   resume_leader() lets them go and does not come back.
// Source: rt_sigreturn(2) and asm/sigcontext.h for the frame; rseq(2);
//   set_tid_address(2); set_robust_list(2).
#pragma once

#include "agent/restorer/restore_plan.h"

namespace ckpt::restorer {

// Makes threads 1..n-1; returns once all of them are ready but for the sigreturn.
void start_threads(ckpt_restore_plan& plan);

// Gives the calling thread what the kernel keeps for `thread`.
void adopt_thread(const ckpt_restore_plan& plan, ckpt_plan_thread& thread);

// Continues the program's thread: never returns.
[[noreturn]] void continue_thread(const ckpt_restore_plan& plan, const ckpt_plan_thread& thread);

void let_all_go(ckpt_restore_plan& plan);

}  // namespace ckpt::restorer
