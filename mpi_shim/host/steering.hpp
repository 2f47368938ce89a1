// Steering: the lower half's mappings land in the arena.
//
// Purpose: in the lower ld.so and libc each `mov $nr,%eax; syscall` of mmap,
//   brk, mremap, shmat and clone3 (and the syscall of libc's syscall()) becomes
//   a call to a stub in the arena, which jumps here.
// Threads: any thread, in either half; no locks, no TLS.
// Errors: as the kernel's: -errno in rax.
// Source: DESIGN.md 2.2; mmap(2), brk(2), mremap(2), shmat(2), clone3(2).
#pragma once

#include <stdint.h>

namespace ckpt::lower {

struct RewrittenTrailer;

// Makes the page of jump stubs in the arena. 0 or -errno.
long make_stubs();

// Patches the call sites of a library whose text (file offset `offset`,
// `length` bytes) was just mapped at `address`. 0 or -errno.
long steer_text(const RewrittenTrailer& trailer, uint64_t address, uint64_t offset, uint64_t length,
                int protection);

// The steered mmap, as raw system call: also used by the loader itself.
long steered_mmap(uint64_t address, uint64_t length, int protection, int flags, int fd,
                  int64_t offset);

}  // namespace ckpt::lower
