// Resource limits: the table `limits` of a rank.
// Threads: under hdf5::Session. Errors: see dataset.hpp. Source: SCHEMA.md,
// prlimit(2).
#pragma once

#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_limits(hid_t group, const std::vector<ResourceLimit>& limits);
Result<std::vector<ResourceLimit>> read_limits(hid_t group);

}  // namespace ckpt::image::records
