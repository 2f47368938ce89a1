#include "agent/pages/write_queue.hpp"

#include <fcntl.h>

namespace ckpt::pages {

WriteQueue::WriteQueue(File& file, std::uint64_t offset, std::size_t buffer_size,
                       std::size_t buffers)
    : file_(file), offset_(offset), buffers_(buffers) {
  for (Buffer& buffer : buffers_) {
    buffer.bytes = std::make_unique_for_overwrite<std::uint8_t[]>(buffer_size);
    empty_.push_back(&buffer);
  }
  thread_ = std::thread([this] { run(); });
}

WriteQueue::Buffer* WriteQueue::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !empty_.empty() || !status_; });
  if (!status_) return nullptr;
  Buffer* buffer = empty_.front();
  empty_.pop_front();
  buffer->used = 0;
  return buffer;
}

void WriteQueue::put(Buffer* buffer) {
  const std::lock_guard lock(mutex_);
  full_.push_back(buffer);
  changed_.notify_all();
}

Status WriteQueue::finish() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  return status_;
}

void WriteQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !full_.empty() || ended_; });
    if (full_.empty()) return;
    Buffer* buffer = full_.front();
    full_.pop_front();
    if (status_) {
      lock.unlock();
      Status written = write(*buffer);
      lock.lock();
      if (!written) status_ = std::move(written);
    }
    empty_.push_back(buffer);
    changed_.notify_all();
  }
}

Status WriteQueue::write(const Buffer& buffer) {
  if (auto done = file_.pwrite(buffer.bytes.get(), buffer.used, offset_); !done) return done;
  // Only a hint: the fsync that counts comes at the end and reports errors.
  if (file_.descriptor() >= 0)
    (void)::sync_file_range(file_.descriptor(), static_cast<off_t>(offset_),
                            static_cast<off_t>(buffer.used), SYNC_FILE_RANGE_WRITE);
  offset_ += buffer.used;
  return {};
}

}  // namespace ckpt::pages
