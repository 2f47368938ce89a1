// Who and where a rank was: the attributes of its group, and its memory layout
// (PR_SET_MM_MAP) with the auxiliary vector.
// Threads: under hdf5::Session. Errors: see dataset.hpp. Source: SCHEMA.md.
#pragma once

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_identity(hid_t group, const RankImage& image);
// Fills in what write_identity stored.
Status read_identity(hid_t group, RankImage& image);

}  // namespace ckpt::image::records
