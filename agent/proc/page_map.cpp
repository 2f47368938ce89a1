#include "agent/proc/page_map.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "agent/proc/proc_file.hpp"

namespace ckpt::proc {
namespace {

// From linux/fs.h of Linux 6.7; Debian 12's headers are older.
struct PmRegion {
  std::uint64_t start, end, categories;
};
struct PmScanArg {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
static_assert(sizeof(PmScanArg) == 96);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PmScanArg);
constexpr std::uint64_t kIsFile = 1u << 2, kIsPresent = 1u << 3, kIsSwapped = 1u << 4,
                        kIsZeroPage = 1u << 5;

constexpr std::uint64_t kEntryPresent = 1ull << 63, kEntrySwapped = 1ull << 62,
                        kEntryFile = 1ull << 61, kEntryGuard = 1ull << 58;

std::string range_text(int pid, std::uint64_t start, std::uint64_t end) {
  char text[80];
  std::snprintf(text, sizeof text, "pid %d %#llx-%#llx", pid,
                static_cast<unsigned long long>(start), static_cast<unsigned long long>(end));
  return text;
}

}  // namespace

bool is_chosen(std::uint64_t entry, PageChoice choice) {
  if ((entry & kEntryGuard) != 0 && (entry & kEntryPresent) == 0) return false;
  if ((entry & (kEntryPresent | kEntrySwapped)) == 0) return false;
  return choice == PageChoice::present || (entry & kEntryFile) == 0;
}

void append_range(std::vector<PageRange>& ranges, std::uint64_t start, std::uint64_t end) {
  if (start >= end) return;
  if (!ranges.empty() && ranges.back().end == start)
    ranges.back().end = end;
  else
    ranges.push_back({start, end});
}

Result<PageMap> PageMap::open(int pid) {
  const std::string path = path_of(pid, "pagemap");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open", path);
  return PageMap(fd, pid);
}

PageMap::PageMap(PageMap&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), pid_(other.pid_), scan_works_(other.scan_works_) {}

PageMap::~PageMap() {
  if (fd_ >= 0) ::close(fd_);
}

Status PageMap::collect(std::uint64_t start, std::uint64_t end, PageChoice choice,
                        std::vector<PageRange>& ranges) {
  if (scan_works_) {
    auto scanned = scan(start, end, choice, ranges);
    if (!scanned) return tl::unexpected(scanned.error());
    if (*scanned) return {};
    scan_works_ = false;
  }
  return read_entries(start, end, choice, ranges);
}

Result<bool> PageMap::scan(std::uint64_t start, std::uint64_t end, PageChoice choice,
                           std::vector<PageRange>& ranges) {
  std::vector<PmRegion> found(512);
  std::uint64_t at = start;
  while (at < end) {
    PmScanArg arg{};
    arg.size = sizeof arg;
    arg.start = at;
    arg.end = end;
    arg.vec = reinterpret_cast<std::uint64_t>(found.data());
    arg.vec_len = found.size();
    arg.category_mask = kIsZeroPage;
    arg.category_inverted = kIsZeroPage;  // not the zero page
    if (choice == PageChoice::own_copy) {
      arg.category_mask |= kIsFile;
      arg.category_inverted |= kIsFile;
    }
    arg.category_anyof_mask = kIsPresent | kIsSwapped;
    arg.return_mask = 0;
    const int count = ::ioctl(fd_, kPagemapScan, &arg);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (at == start && (errno == ENOTTY || errno == EINVAL)) return false;
      return fail_errno("ioctl PAGEMAP_SCAN", range_text(pid_, at, end));
    }
    for (int i = 0; i < count; ++i) append_range(ranges, found[i].start, found[i].end);
    if (arg.walk_end <= at)
      return fail("ioctl PAGEMAP_SCAN", range_text(pid_, at, end), "no progress");
    at = arg.walk_end;
  }
  return true;
}

Status PageMap::read_entries(std::uint64_t start, std::uint64_t end, PageChoice choice,
                             std::vector<PageRange>& ranges) {
  std::vector<std::uint64_t> entries(32 * 1024);
  for (std::uint64_t at = start; at < end;) {
    const std::size_t wanted = std::min<std::uint64_t>(entries.size(), (end - at) / 4096);
    const ssize_t got = ::pread(fd_, entries.data(), wanted * 8, static_cast<off_t>(at / 4096 * 8));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read pagemap", range_text(pid_, at, end));
    if (got < 8)
      return fail("read pagemap", range_text(pid_, at, end), "the process is gone", ESRCH);
    const std::size_t count = static_cast<std::size_t>(got) / 8;
    for (std::size_t i = 0; i < count; ++i)
      if (is_chosen(entries[i], choice)) append_range(ranges, at + i * 4096, at + (i + 1) * 4096);
    at += count * 4096;
  }
  return {};
}

}  // namespace ckpt::proc
