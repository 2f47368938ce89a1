// Threads, signals, timers and layout: copied into the plan, after a check
// that this machine can continue them.
//
// Ownership: what threads stand on (stacks, xsave frames) lies in `kept`.
// Threads: one. Errors: names the thread and what this processor lacks.
// Source: Intel SDM vol. 1 chapter 13 (XSAVE), prctl(2) PR_SET_MM_MAP.
#pragma once

#include <cstdint>
#include <functional>

#include "agent/restore/arena_memory.hpp"
#include "agent/restore/parked_files.hpp"
#include "agent/restorer/restore_plan.h"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

// What this processor can hold of extended state.
struct ExtendedState {
  std::uint64_t enabled = 0;  // XCR0
  std::function<std::uint64_t(int feature)>
      end_of_component;  // offset + size in the standard format
};
ExtendedState machine_extended_state();

Status plan_threads(const image::Process& process, const ExtendedState& machine, ArenaMemory& kept,
                    ckpt_restore_plan& plan);
Status plan_signals(const image::Process& process, ArenaMemory& kept, ckpt_restore_plan& plan);
Status plan_timers(const image::Process& process, ArenaMemory& kept, ckpt_restore_plan& plan);
Status plan_layout(const image::Process& process, ArenaMemory& kept, ParkedFiles& files,
                   ckpt_restore_plan& plan);

}  // namespace ckpt::restore
