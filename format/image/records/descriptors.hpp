// Open files: the table `descriptors` of a rank.
// Threads: under hdf5::Session. Errors: see dataset.hpp. Source: SCHEMA.md,
// proc(5) fdinfo.
#pragma once

#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_descriptors(hid_t group, const std::vector<Descriptor>& descriptors);
Result<std::vector<Descriptor>> read_descriptors(hid_t group);

}  // namespace ckpt::image::records
