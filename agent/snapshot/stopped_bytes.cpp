#include "agent/snapshot/stopped_bytes.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstdio>
#include <new>

#include "agent/proc/proc_file.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::snapshot {
namespace {

constexpr std::uint64_t kPage = 4096;

// The mapped file itself, whatever its path is now; needs a privilege on
// map_files, so the path is tried as well.
UniqueFd open_mapped(int pid, std::uint64_t start, std::uint64_t end, std::uint64_t inode) {
  char name[64];
  std::snprintf(name, sizeof name, "map_files/%llx-%llx", static_cast<unsigned long long>(start),
                static_cast<unsigned long long>(end));
  const std::string link = proc::path_of(pid, name);
  UniqueFd file(::open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) {
    auto path = proc::read_link(link);
    if (path) file.reset(::open(path->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  }
  struct stat status {};
  if (file && (::fstat(file.get(), &status) != 0 || status.st_ino != inode)) file.reset();
  return file;
}

}  // namespace

Status StoppedBytes::copy(pages::PageReader& reader, const std::vector<proc::PageRange>& ranges) {
  for (const proc::PageRange& range : ranges) {
    Piece piece{range.start, range.end, nullptr};
    piece.bytes.reset(new (std::nothrow) std::uint8_t[range.end - range.start]);
    if (!piece.bytes)
      return fail("copy while stopped", std::to_string(range.end - range.start) + " bytes",
                  "not enough memory", ENOMEM);
    const pages::PageSpan span{range.start, range.end};
    if (auto done = reader.read({&span, 1}, piece.bytes.get()); !done) return done;
    pieces_.push_back(std::move(piece));
  }
  return {};
}

std::vector<proc::PageRange> shared_content(int pid, std::uint64_t start, std::uint64_t end,
                                            std::uint64_t file_offset, std::uint64_t inode) {
  const UniqueFd file = open_mapped(pid, start, end, inode);
  if (!file) return {{start, end}};
  struct stat status {};
  struct statfs system {};
  if (::fstat(file.get(), &status) != 0 || ::fstatfs(file.get(), &system) != 0)
    return {{start, end}};
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size <= file_offset) return {};
  // Pages behind the end of the file cannot be read.
  const std::uint64_t mapped_end =
      std::min(end, start + (size - file_offset + kPage - 1) / kPage * kPage);
  if (system.f_type != TMPFS_MAGIC) return {{start, mapped_end}};
  std::vector<proc::PageRange> ranges;
  for (std::uint64_t at = file_offset; at < file_offset + (mapped_end - start);) {
    const off_t data = ::lseek(file.get(), static_cast<off_t>(at), SEEK_DATA);
    if (data < 0) break;
    const off_t hole = ::lseek(file.get(), data, SEEK_HOLE);
    if (hole < 0) return {{start, mapped_end}};
    const std::uint64_t from = static_cast<std::uint64_t>(data) / kPage * kPage;
    const std::uint64_t to = (static_cast<std::uint64_t>(hole) + kPage - 1) / kPage * kPage;
    proc::append_range(ranges, start + (std::max(from, file_offset) - file_offset),
                       std::min(mapped_end, start + (to - file_offset)));
    at = to;
  }
  return ranges;
}

}  // namespace ckpt::snapshot
