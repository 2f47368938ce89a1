// A node's file of a generation, small and whole: a page for each rank.
//
// Threads: any. Errors: those of the writer (format/image/generation_writer.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/posix/result.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::scale {

// Its size in bytes.
Result<std::uint64_t> write_node_file(const wire::Snapshot& order, const std::string& node,
                                      const std::vector<std::int32_t>& ranks);

}  // namespace ckpt::scale
