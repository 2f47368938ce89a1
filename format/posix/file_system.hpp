// FileSystem: the file operations that durability depends on, behind an
// interface, so that tests can make any one of them fail or be forgotten.
//
// Purpose: everything that writes or removes a generation, or a small file of
//   the job directory, goes through a FileSystem. linux_file_system() is the
//   real one; tests/fakes/fake_file_system.hpp is the one that loses power.
// Ownership: open() returns a File that closes itself; the FileSystem must
//   outlive its Files.
// Threads: a FileSystem and its Files may be used from several threads at once
//   (pread and pwrite carry their offset).
// Units: bytes; times in ns since the epoch.
// Errors: operation, path and errno's text; `code` is errno. pwrite writes all
//   bytes or fails; pread returns fewer bytes only at the end of the file.
// Source: open(2), pwrite(2), fsync(2), rename(2), statvfs(3).
#pragma once

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt {

struct FileStatus {
  bool regular = false, directory = false;
  std::uint64_t size = 0;
  std::uint64_t device = 0, inode = 0;
  std::uint32_t mode = 0;  // permission bits
  std::int64_t modified_ns = 0;
};

class File {
 public:
  virtual ~File() = default;
  virtual Result<std::size_t> pread(void* buffer, std::size_t size, std::uint64_t offset) = 0;
  virtual Status pwrite(const void* bytes, std::size_t size, std::uint64_t offset) = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  virtual Status fsync() = 0;
  virtual Result<FileStatus> status() = 0;
  // The kernel's descriptor, for callers that need pwritev or io_uring; -1 in fakes.
  virtual int descriptor() const = 0;
  virtual const std::string& path() const = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // `flags` as for open(2); O_CLOEXEC is always added. O_DIRECT is a wish: where
  // the file system or the alignment does not allow it, the page cache is used.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                             std::uint32_t mode = 0600) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status unlink(const std::string& path) = 0;
  virtual Status mkdir(const std::string& path, std::uint32_t mode) = 0;
  // Makes the names in a directory (new, renamed, removed) durable.
  virtual Status fsync_directory(const std::string& path) = 0;
  virtual Result<FileStatus> stat(const std::string& path) = 0;
  // Names without "." and "..", sorted.
  virtual Result<std::vector<std::string>> list_directory(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
};

// The kernel's. Lives as long as the process.
FileSystem& linux_file_system();

// "/a/b" of "/a/b/c"; "." of "c".
std::string directory_of(const std::string& path);
// "c" of "/a/b/c".
std::string base_name_of(const std::string& path);

}  // namespace ckpt
