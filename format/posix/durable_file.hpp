// Small files that are either the old or the new content, whatever dies when.
//
// Purpose: job.json, coordinator.json and the like.
// Ownership: nothing is kept open. Threads: two writers of one path at a time
//   each leave a whole file; the last rename wins.
// Units: bytes. Errors: the step that failed (open, pwrite, fsync, rename) with
//   the path; the old file is then untouched and no temporary file is left.
// Source: rename(2), fsync(2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/posix/file_system.hpp"
#include "format/posix/result.hpp"

namespace ckpt {

// Writes PATH.XXXX.tmp beside it, fsync, rename, fsync of the directory.
Status write_durably(FileSystem& files, const std::string& path, std::string_view bytes,
                     std::uint32_t mode = 0600);

// The whole file; fails with EFBIG when it is larger than `limit`.
Result<std::string> read_whole(FileSystem& files, const std::string& path,
                               std::uint64_t limit = 64u << 20);

// mkdir -p; new directories get `mode`, existing ones keep theirs.
Status make_directories(FileSystem& files, const std::string& path, std::uint32_t mode = 0700);

}  // namespace ckpt
