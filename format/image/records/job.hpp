// The record of the job: group /job of every generation and node file.
// Threads: under hdf5::Session. Errors: see dataset.hpp. Source: SCHEMA.md.
#pragma once

#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image::records {

Status write_job(hid_t file, const JobRecord& job);
Result<JobRecord> read_job(hid_t file);

}  // namespace ckpt::image::records
