#include "agent/pages/payload_stream.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "agent/pages/write_queue.hpp"
#include "format/image/generation_writer.hpp"

namespace ckpt::pages {
namespace {

constexpr std::size_t kPage = image::kPageSize;
constexpr std::size_t kBufferPages = 4 * image::kChecksumBlockPages;  // 4 MiB
constexpr std::size_t kReadPages = 64;  // at once: looked through while still in the L2 cache
constexpr std::size_t kBuffers = 4;

// Walks through the plan's pieces.
class Cursor {
 public:
  explicit Cursor(const PagePlan& plan) : plan_(plan) {}
  bool at_end() const { return piece_ == plan_.pieces.size(); }

  // The next part, at most `pages` long.
  PagePiece take(std::uint64_t pages) {
    PagePiece part = plan_.pieces[piece_];
    part.start += taken_;
    if (part.held != nullptr) part.held += taken_;
    const std::uint64_t length = std::min(part.end - part.start, pages * kPage);
    if (part.start + length == part.end) {
      ++piece_;
      taken_ = 0;
    } else {
      taken_ += length;
      part.end = part.start + length;
    }
    return part;
  }

 private:
  const PagePlan& plan_;
  std::size_t piece_ = 0;
  std::uint64_t taken_ = 0;
};

void note_page(std::vector<image::PageRun>& runs, std::uint64_t address, std::uint64_t index) {
  if (!runs.empty()) {
    image::PageRun& last = runs.back();
    if (last.address + last.pages * kPage == address && last.index + last.pages == index) {
      ++last.pages;
      return;
    }
  }
  runs.push_back({address, 1, index});
}

class Stream {
 public:
  Stream(const PagePlan& plan, PageReader* reader, std::vector<image::Region>& regions,
         const StreamTarget& target)
      : cursor_(plan), plan_(plan), reader_(reader), regions_(regions), target_(target) {}

  Result<StreamResult> run() {
    WriteQueue queue(*target_.file, target_.offset, kBufferPages * kPage, kBuffers);
    Status status;
    while (status && !cursor_.at_end()) {
      WriteQueue::Buffer* buffer = queue.take();
      if (buffer == nullptr) break;
      status = fill(*buffer);
      if (status) queue.put(buffer);
    }
    if (auto written = queue.finish(); status && !written) status = written;
    if (!status) return tl::unexpected(status.error());
    add_tail_checksums();
    return std::move(result_);
  }

 private:
  // Fills the buffer with pages that are not zero, and adds their checksums.
  Status fill(WriteQueue::Buffer& buffer) {
    std::size_t summed = 0;
    while (buffer.used < kBufferPages * kPage && !cursor_.at_end()) {
      if (target_.cancelled != nullptr && *target_.cancelled)
        return fail("write payload", "", "cancelled", ECANCELED);
      const std::size_t room = kBufferPages - buffer.used / kPage;
      if (auto done = add_pages(buffer, std::min(room, kReadPages)); !done) return done;
      while (buffer.used - summed >= image::kChecksumBlockBytes) {
        add_checksum(buffer.bytes.get() + summed, image::kChecksumBlockBytes);
        summed += image::kChecksumBlockBytes;
      }
    }
    if (buffer.used > summed) add_checksum(buffer.bytes.get() + summed, buffer.used - summed);
    return {};
  }

  Status add_pages(WriteQueue::Buffer& buffer, std::uint64_t pages) {
    std::uint8_t* const begin = buffer.bytes.get() + buffer.used;
    if (auto done = read_parts(begin, pages); !done) return done;
    std::uint8_t* out = begin;
    const std::uint8_t* in = begin;
    for (const PagePiece& part : parts_) {
      std::vector<image::PageRun>& runs = regions_[part.region].runs;
      for (std::uint64_t at = part.start; at < part.end; at += kPage, in += kPage) {
        if (is_zero_page(in)) continue;
        if (out != in) std::memmove(out, in, kPage);
        out += kPage;
        note_page(runs, at, result_.stored_pages++);
      }
    }
    buffer.used = static_cast<std::size_t>(out - buffer.bytes.get());
    if (target_.done != nullptr) *target_.done += static_cast<std::uint64_t>(in - begin);
    return {};
  }

  Status read_parts(std::uint8_t* to, std::uint64_t room) {
    parts_.clear();
    spans_.clear();
    std::uint8_t* spans_at = to;
    const auto read_spans = [&]() -> Status {
      if (spans_.empty()) return {};
      if (reader_ == nullptr) return fail("read pages", "", "no process to read from");
      auto done = reader_->read(spans_, spans_at);
      spans_.clear();
      return done;
    };
    while (room > 0 && !cursor_.at_end()) {
      const PagePiece part = cursor_.take(room);
      const std::uint64_t length = part.end - part.start;
      parts_.push_back(part);
      if (part.held != nullptr) {
        if (auto done = read_spans(); !done) return done;
        std::memcpy(to, part.held, length);
      } else {
        if (spans_.empty()) spans_at = to;
        spans_.push_back({part.start, part.end});
      }
      to += length;
      room -= length / kPage;
    }
    return read_spans();
  }

  // Of a block, or of the last stored bytes: then with a part of the zero tail.
  void add_checksum(const std::uint8_t* bytes, std::size_t size) {
    const std::uint64_t first_page = result_.checksums.size() * image::kChecksumBlockPages;
    const std::uint64_t block_pages =
        std::min<std::uint64_t>(image::kChecksumBlockPages, plan_.pages - first_page);
    if (size == block_pages * kPage) {
      result_.checksums.push_back(image::block_checksum(bytes, size));
      return;
    }
    std::vector<std::uint8_t> whole(block_pages * kPage);
    std::memcpy(whole.data(), bytes, size);
    result_.checksums.push_back(image::block_checksum(whole.data(), whole.size()));
  }

  void add_tail_checksums() {
    const std::vector<std::uint8_t> zeros(image::kChecksumBlockBytes);
    std::uint64_t full_block = 0;
    for (;;) {
      const std::uint64_t first = result_.checksums.size() * image::kChecksumBlockPages;
      if (first >= plan_.pages) return;
      const std::uint64_t pages =
          std::min<std::uint64_t>(image::kChecksumBlockPages, plan_.pages - first);
      if (pages < image::kChecksumBlockPages) {
        result_.checksums.push_back(image::block_checksum(zeros.data(), pages * kPage));
      } else {
        if (full_block == 0) full_block = image::block_checksum(zeros.data(), zeros.size());
        result_.checksums.push_back(full_block);
      }
    }
  }

  Cursor cursor_;
  const PagePlan& plan_;
  PageReader* reader_;
  std::vector<image::Region>& regions_;
  const StreamTarget& target_;
  StreamResult result_;
  std::vector<PagePiece> parts_;
  std::vector<PageSpan> spans_;
};

}  // namespace

bool is_zero_page(const std::uint8_t* page) {
  static constexpr std::array<std::uint8_t, 64> kZeros{};
  // Most pages differ at once; the second comparison is the page with itself, moved.
  return std::memcmp(page, kZeros.data(), kZeros.size()) == 0 &&
         std::memcmp(page, page + kZeros.size(), kPage - kZeros.size()) == 0;
}

Result<StreamResult> stream_payload(const PagePlan& plan, PageReader* reader,
                                    std::vector<image::Region>& regions,
                                    const StreamTarget& target) {
  return Stream(plan, reader, regions, target).run();
}

}  // namespace ckpt::pages
