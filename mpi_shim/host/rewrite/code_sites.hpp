// What ckpt-rewrite changes in a library's code.
//
// Purpose: finds each instruction that addresses memory through %fs, the
//   arch_prctl(ARCH_SET_FS) of ld.so, and the system call sites to steer.
// Errors: a site that cannot be told with certainty is an error that names its
//   address; nothing is guessed.
// Source: Intel SDM volume 2 chapter 2; Zydis.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "format/posix/result.hpp"
#include "mpi_shim/host/rewrite/library_file.hpp"
#include "mpi_shim/host/rewritten_format.h"

namespace ckpt::rewrite {

struct CodeSites {
  std::vector<std::uint64_t> fs_prefixes;  // file offsets of 0x64 bytes that become 0x65
  std::vector<std::uint64_t> set_fs;       // file offsets of the byte 0x02 of $0x1002
  std::vector<lower::SteerSite> steered;
};

Result<CodeSites> find_code_sites(const LibraryFile& library, const std::string& name);

}  // namespace ckpt::rewrite
