// WriteQueue: a thread that writes full buffers while others are being filled.
//
// Purpose: overlaps reading pages with writing them. A few buffers go round.
// Ownership: owns the buffers and the thread; the File is borrowed.
// Threads: one producer. finish() joins the writer.
// Errors: the first failed write; take() then returns nothing, finish() the error.
// Source: sync_file_range(2).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "format/posix/file_system.hpp"

namespace ckpt::pages {

class WriteQueue {
 public:
  struct Buffer {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t used = 0;
  };

  WriteQueue(File& file, std::uint64_t offset, std::size_t buffer_size, std::size_t buffers);
  ~WriteQueue() { (void)finish(); }
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  // An empty buffer; waits for one. Null after a failed write.
  Buffer* take();
  // The buffer is written behind the one before.
  void put(Buffer* buffer);
  Status finish();

 private:
  void run();
  Status write(const Buffer& buffer);

  File& file_;
  std::uint64_t offset_;
  std::vector<Buffer> buffers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Buffer*> empty_, full_;
  bool ended_ = false;
  Status status_;
  std::thread thread_;
};

}  // namespace ckpt::pages
