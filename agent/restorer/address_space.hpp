// The address space: emptied, laid out anew, mapped.
//
// Purpose: the stages detach to map, and protect. Contents are contents.hpp's.
// Threads: the one thread there is. Errors: die() with stage and errno.
// Source: mremap(2), prctl(2) PR_SET_MM_MAP, madvise(2), mmap(2) MAP_GROWSDOWN.
#pragma once

#include "agent/restorer/restore_plan.h"

namespace ckpt::restorer {

// Nothing of the restorer's own libc may be left with the kernel: it would
// write to, or fault on, memory that is the program's again.
void detach_from_libc(const ckpt_restore_plan& plan);

// Unmaps all of the address space but the arena, vdso and vvar.
void unmap_outside_arena(const ckpt_restore_plan& plan);

// Moves vdso and vvar by way of the arena, so that no move can overlap
// another, and looks in /proc/self/maps that they are there.
void move_vdso(const ckpt_restore_plan& plan);

void set_layout(const ckpt_restore_plan& plan);

void map_regions(const ckpt_restore_plan& plan);
void protect_regions(const ckpt_restore_plan& plan);

}  // namespace ckpt::restorer
