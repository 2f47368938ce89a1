#include "agent/pages/write_queue.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace ckpt::pages {
namespace {

constexpr std::size_t kHugePage = 2 << 20;

// Huge pages where they can be had: fewer faults, and fewer pieces a transfer.
std::uint8_t* allocate_buffer(std::size_t size) {
  void* const bytes = std::aligned_alloc(kHugePage, (size + kHugePage - 1) / kHugePage * kHugePage);
  if (bytes == nullptr) throw std::bad_alloc();
  (void)::madvise(bytes, size, MADV_HUGEPAGE);
  return static_cast<std::uint8_t*>(bytes);
}

}  // namespace

WriteQueue::WriteQueue(File& file, std::uint64_t offset, std::size_t buffer_size,
                       std::size_t buffers)
    : file_(file), offset_(offset), buffers_(buffers) {
  for (Buffer& buffer : buffers_) {
    buffer.bytes.reset(allocate_buffer(buffer_size));
    empty_.push_back(&buffer);
  }
  if (file_.descriptor() >= 0 && ::syscall(SYS_io_setup, buffers, &context_) != 0) context_ = 0;
}

WriteQueue::~WriteQueue() {
  (void)finish();
  if (context_ != 0) (void)::syscall(SYS_io_destroy, context_);
}

WriteQueue::Buffer* WriteQueue::take() {
  while (status_ && empty_.empty()) await_some();
  if (!status_) return nullptr;
  Buffer* buffer = empty_.back();
  empty_.pop_back();
  buffer->used = 0;
  return buffer;
}

void WriteQueue::put(Buffer* buffer) {
  buffer->offset = offset_;
  offset_ += buffer->used;
  if (buffer->used == 0)
    empty_.push_back(buffer);
  else if (!submit(*buffer))
    complete(*buffer, 0);
}

Status WriteQueue::finish() {
  while (under_way_ > 0) await_some();
  return status_;
}

bool WriteQueue::submit(Buffer& buffer) {
  if (context_ == 0 || !status_) return false;
  iocb order{};
  order.aio_data = reinterpret_cast<std::uint64_t>(&buffer);
  order.aio_lio_opcode = IOCB_CMD_PWRITE;
  order.aio_fildes = static_cast<std::uint32_t>(file_.descriptor());
  order.aio_buf = reinterpret_cast<std::uint64_t>(buffer.bytes.get());
  order.aio_nbytes = buffer.used;
  order.aio_offset = static_cast<std::int64_t>(buffer.offset);
  iocb* orders[] = {&order};
  if (::syscall(SYS_io_submit, context_, 1, orders) != 1) return false;
  ++under_way_;
  return true;
}

// Waits until at least one write has ended.
void WriteQueue::await_some() {
  io_event events[8];
  const long count = ::syscall(SYS_io_getevents, context_, 1, std::size(events), events, nullptr);
  if (count < 0 && errno != EINTR) {
    // The kernel knows nothing of a context it made itself: io_destroy waits.
    if (status_) status_ = fail_errno("io_getevents", file_.path());
    under_way_ = 0;
  }
  for (long i = 0; i < count; ++i) {
    --under_way_;
    complete(*reinterpret_cast<Buffer*>(events[i].data), events[i].res);
  }
}

// `written` bytes of the buffer are in the file, or it is -errno.
void WriteQueue::complete(Buffer& buffer, std::int64_t written) {
  const std::size_t done = written < 0 ? 0 : static_cast<std::size_t>(written);
  if (status_ && done < buffer.used)
    status_ = file_.pwrite(buffer.bytes.get() + done, buffer.used - done, buffer.offset + done);
  // For files that cannot be written directly. Only a hint: the fsync that counts
  // comes at the end and reports errors.
  if (status_ && file_.descriptor() >= 0)
    (void)::sync_file_range(file_.descriptor(), static_cast<off_t>(buffer.offset),
                            static_cast<off_t>(buffer.used), SYNC_FILE_RANGE_WRITE);
  empty_.push_back(&buffer);
}

}  // namespace ckpt::pages
