// WriteQueue: writes full buffers while others are being filled.
//
// Purpose: overlaps reading pages with writing them. A few buffers go round,
//   page-aligned, so that a File opened with O_DIRECT is written from them. The
//   kernel writes by itself (aio): a thread for it would, where the program keeps
//   all processors busy, wait longer for one at each buffer than the disk needs.
// Ownership: owns the buffers; the File is borrowed. The destructor waits for
//   what is under way.
// Threads: one. Units: bytes.
// Errors: the first failed write; take() then returns nothing, finish() the error.
//   What the kernel could not write by itself is written by File::pwrite, which
//   knows why it fails. Where there is no aio, so is all of it.
// Source: io_submit(2), open(2) on O_DIRECT, sync_file_range(2).
#pragma once

#include <linux/aio_abi.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "format/posix/file_system.hpp"

namespace ckpt::pages {

class WriteQueue {
 public:
  struct Free {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };
  struct Buffer {
    std::unique_ptr<std::uint8_t[], Free> bytes;
    std::size_t used = 0;
    std::uint64_t offset = 0;  // in the file, while it is written
  };

  WriteQueue(File& file, std::uint64_t offset, std::size_t buffer_size, std::size_t buffers);
  ~WriteQueue();
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  // An empty buffer; waits for one. Null after a failed write.
  Buffer* take();
  // The buffer is written behind the one before.
  void put(Buffer* buffer);
  Status finish();

 private:
  bool submit(Buffer& buffer);
  void await_some();
  void complete(Buffer& buffer, std::int64_t written);

  File& file_;
  std::uint64_t offset_;
  std::vector<Buffer> buffers_;
  std::vector<Buffer*> empty_;
  aio_context_t context_ = 0;  // 0: there is none
  std::size_t under_way_ = 0;
  Status status_;
};

}  // namespace ckpt::pages
