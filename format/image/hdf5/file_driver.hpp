// An HDF5 file driver over FileSystem.
//
// Purpose: HDF5's reads and writes go through the injectable FileSystem, so
//   that they are 0600 and O_CLOEXEC, take no file locks, can be made to fail
//   in tests, and can never touch payload that others write.
// Ownership: OpenedFile is owned by a writer or reader and must outlive the
//   HDF5 file opened with its access list. It keeps the File after HDF5 has
//   closed it, for fsync.
// Threads: under hdf5::Session.
// Errors: the first failed write is kept in `error`; from then on writes are
//   dropped and reported to HDF5 as done, because HDF5 1.10 cannot close a file
//   whose flush fails. Whoever writes looks at `error` after each step. Failed
//   reads are failures to HDF5, and the cause of the Error of that call.
// Source: H5FDpublic.h of HDF5 1.10 (H5FD_class_t).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/posix/file_system.hpp"

namespace ckpt::image::hdf5 {

struct OpenedFile {
  explicit OpenedFile(FileSystem& fs) : files(&fs) {}

  FileSystem* files;
  std::unique_ptr<File> file;
  std::optional<Error> error;
  bool drop_writes = false;  // after an error, or when the file is thrown away
  std::vector<std::pair<std::uint64_t, std::uint64_t>>
      payload;  // [start, end): not HDF5's to write
};

// A file access property list for the file: this driver, latest format, page
// aligned objects.
Result<Handle> access_list(OpenedFile& opened);

// The last error of the driver in this thread since the last call; then none.
std::optional<Error> take_driver_error();

}  // namespace ckpt::image::hdf5
