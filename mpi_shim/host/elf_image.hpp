// Maps an ELF program or its interpreter into the arena.
//
// Purpose: what the kernel's execve does with PT_LOAD, at an arena address and
//   with rewritten text.
// Errors: -errno. Source: elf(5), System V ABI chapter 5.
#pragma once

#include <stdint.h>

namespace ckpt::lower {

struct ElfImage {
  uint64_t bias = 0;   // added to the file's addresses
  uint64_t entry = 0;  // absolute
  uint64_t program_headers = 0;
  uint16_t program_header_count = 0;
  uint16_t program_header_size = 0;
  char interpreter[256] = {};
};

long map_elf(const char* path, ElfImage* image);

}  // namespace ckpt::lower
