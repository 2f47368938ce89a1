// Memory regions: the tables `regions`, `files` and `page_runs` of a rank.
//
// A file that several regions map is one row of `files`; runs of all regions
// are one table, in the regions' order.
// Threads: under hdf5::Session. Errors: see dataset.hpp; a row that refers to a
// row there is not, or runs outside of their region, are errors when read.
// Source: SCHEMA.md.
#pragma once

#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_regions(hid_t group, const std::vector<Region>& regions);
Result<std::vector<Region>> read_regions(hid_t group);

// Ok when regions ascend and do not overlap, and every run lies in its region
// and in a payload of `payload_pages`. `subject` names the rank in errors.
Status check_regions(const std::vector<Region>& regions, std::uint64_t payload_pages,
                     const std::string& subject);

}  // namespace ckpt::image::records
