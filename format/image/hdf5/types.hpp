// HDF5 datatypes that the schema uses.
#pragma once

#include <cstddef>
#include <string>

#include "format/image/hdf5/handle.hpp"

namespace ckpt::image::hdf5 {

Result<Handle> copy_type(hid_t predefined, const std::string& subject);
// Of `size` bytes, UTF-8, the text and at least one NUL.
Result<Handle> string_type(std::size_t size, const std::string& subject);

}  // namespace ckpt::image::hdf5
