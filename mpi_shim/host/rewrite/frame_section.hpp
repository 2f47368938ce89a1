// Function ranges from an .eh_frame section.
// Source: LSB 5.0 Core 10.6.1; DWARF 4 section 6.4.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::rewrite {

// Address ranges [start, end) of all frame descriptions of the section, which
// is linked at `address`.
Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>> read_frame_section(
    std::span<const std::uint8_t> section, std::uint64_t address);

}  // namespace ckpt::rewrite
