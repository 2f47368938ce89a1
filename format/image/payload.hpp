// A rank's payload: the dataset `pages` and its checksums.
//
// The bytes are written and read outside of HDF5; here is where they lie, that
// the description fits the file, and the check of each block.
// Threads: functions with a group are called under hdf5::Session.
// Errors: name rank, dataset and block. Source: SCHEMA.md (Payload).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::image {

std::string rank_group_name(std::int32_t rank);  // "000012"

std::uint64_t blocks_of(std::uint64_t pages);

// Makes `pages` in a rank's group; returns the offset of page 0 in the file.
Result<std::uint64_t> create_payload(hid_t group, std::uint64_t pages);
Status write_payload_checksums(hid_t group, const std::vector<std::uint64_t>& checksums);

// Fills in payload_pages and payload_offset.
Status read_payload_place(hid_t group, RankImage& image);
Result<std::vector<std::uint64_t>> read_payload_checksums(hid_t group, std::uint64_t pages);

}  // namespace ckpt::image
