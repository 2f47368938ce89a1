// The freestanding ckpt-restorer, loaded into the arena and jumped to.
//
// Purpose: load_restorer maps its segments and relocates them (it is a static
//   PIE with relative relocations only); enter_restorer is the point of no
//   return.
// Ownership: its mappings stay. Threads: one.
// Errors: a file that is not such a program is named with what is wrong.
// Source: elf(5); System V ABI x86-64, R_X86_64_RELATIVE.
#pragma once

#include <cstdint>
#include <string>

#include "agent/restorer/restore_plan.h"
#include "format/posix/result.hpp"

namespace ckpt::restore {

// Returns the address of its entry.
Result<std::uint64_t> load_restorer(const std::string& path, std::uint64_t at);

// Blocks all signals, unregisters this thread's rseq and jumps.
[[noreturn]] void enter_restorer(std::uint64_t entry, ckpt_restore_plan* plan,
                                 std::uint64_t stack_top);

}  // namespace ckpt::restore
