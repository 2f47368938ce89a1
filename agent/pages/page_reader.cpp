#include "agent/pages/page_reader.hpp"

#include <fcntl.h>

#include <cstdio>
#include <cstring>

#include "agent/proc/proc_file.hpp"

namespace ckpt::pages {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kEntryGuard = 1ull << 58;  // of pagemap, Linux 6.15 and later

std::string place(int pid, std::uint64_t address) {
  char text[64];
  std::snprintf(text, sizeof text, "pid %d at %#llx", pid,
                static_cast<unsigned long long>(address));
  return text;
}

bool is_guard_page(int pid, std::uint64_t address) {
  const UniqueFd pagemap(::open(proc::path_of(pid, "pagemap").c_str(), O_RDONLY | O_CLOEXEC));
  std::uint64_t entry = 0;
  return pagemap &&
         ::pread(pagemap.get(), &entry, sizeof entry, static_cast<off_t>(address / kPage * 8)) ==
             8 &&
         (entry & kEntryGuard) != 0;
}

}  // namespace

Result<PageReader> PageReader::open(int pid) {
  const std::string path = proc::path_of(pid, "mem");
  UniqueFd memory(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory) return fail_errno("open", path);
  return PageReader(pid, std::move(memory));
}

Status PageReader::read(std::span<const PageSpan> spans, std::uint8_t* to) {
  for (const PageSpan& span : spans) {
    if (auto done = read_span(span, to); !done) return done;
    to += span.end - span.start;
  }
  return {};
}

Status PageReader::read_span(PageSpan span, std::uint8_t* to) {
  while (span.start < span.end) {
    ssize_t got = ::pread(memory_.get(), to, span.end - span.start, static_cast<off_t>(span.start));
    if (got < 0 && errno == EINTR) continue;
    const int code = got < 0 ? errno : 0;
    if (got == 0) return fail("read /proc/pid/mem", place(pid_, span.start), "it is gone", ESRCH);
    if (got < 0) {
      if (!is_guard_page(pid_, span.start))
        return fail_errno("read /proc/pid/mem", place(pid_, span.start), code);
      std::memset(to, 0, kPage);
      got = kPage;
    }
    to += got;
    span.start += static_cast<std::uint64_t>(got);
  }
  return {};
}

}  // namespace ckpt::pages
