// Datasets of metadata with their checksum; lists of strings and of numbers;
// groups.
//
// Threads: under Session. Errors: Error naming the dataset's path; a dataset
//   whose bytes do not match its checksum attribute is never returned.
// Source: SCHEMA.md (Checksums, Strings).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/image/hdf5/handle.hpp"

namespace ckpt::image::hdf5 {

// The whole path of a member of a group, for messages: "/ranks/000003/regions".
std::string path_of(hid_t group, const char* name);
std::string path_of(hid_t object);

// Attributes stay in the object's own header, which HDF5 checksums.
Result<Handle> create_group(hid_t parent, const char* name);
Result<Handle> open_group(hid_t parent, const char* name);

// Small datasets lie in their object header (one read), larger ones in one
// contiguous piece. `size` is the length of `bytes`.
Status write_dataset(hid_t group, const char* name, hid_t type, std::vector<hsize_t> extent,
                     const void* bytes, std::size_t size);

struct DatasetBytes {
  Handle type;
  std::vector<hsize_t> extent;
  std::vector<std::uint8_t> bytes;
};
// Fails unless it has `dimensions` dimensions and its checksum fits.
Result<DatasetBytes> read_dataset(hid_t group, const char* name, int dimensions);

Status write_numbers(hid_t group, const char* name, const std::vector<std::uint64_t>& numbers);
Result<std::vector<std::uint64_t>> read_numbers(hid_t group, const char* name);

Status write_strings(hid_t group, const char* name, const std::vector<std::string>& strings);
Result<std::vector<std::string>> read_strings(hid_t group, const char* name);

}  // namespace ckpt::image::hdf5
