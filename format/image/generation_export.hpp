// export_generation: one self-contained file of a generation that links its nodes' files.
//
// Purpose: to take a generation elsewhere, or to keep it. Records and pages are
//   the same; each block of pages is checked against its checksum on the way.
// Ownership: nothing is kept. Threads: those of GenerationReader and Writer.
// Units: bytes of payload in `progress`.
// Errors: what cannot be read or is damaged; what cannot be written (ENOSPC before
//   anything is copied); EEXIST when the target is there: it is never replaced.
//   Nothing is left behind then.
// Source: SCHEMA.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "format/image/generation_reader.hpp"
#include "format/posix/file_system.hpp"
#include "format/posix/result.hpp"

namespace ckpt::image {

using ExportProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Writes PATH.partial, makes it durable, and gives it its name. Returns the
// bytes of payload copied.
Result<std::uint64_t> export_generation(FileSystem& files, GenerationReader& from,
                                        const std::string& path,
                                        const ExportProgress& progress = {});

}  // namespace ckpt::image
