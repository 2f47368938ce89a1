#include "agent/pages/page_reader.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "agent/proc/proc_file.hpp"

namespace ckpt::pages {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kMaxSpans = 512;  // below IOV_MAX
constexpr std::uint64_t kEntryGuard = 1ull << 58;

std::string place(int pid, std::uint64_t address) {
  char text[64];
  std::snprintf(text, sizeof text, "pid %d at %#llx", pid, static_cast<unsigned long long>(address));
  return text;
}

bool is_guard_page(int pid, std::uint64_t address) {
  const UniqueFd pagemap(::open(proc::path_of(pid, "pagemap").c_str(), O_RDONLY | O_CLOEXEC));
  std::uint64_t entry = 0;
  return pagemap &&
         ::pread(pagemap.get(), &entry, sizeof entry, static_cast<off_t>(address / kPage * 8)) == 8 &&
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
  std::size_t next = 0;
  std::uint64_t inside = 0;  // bytes of spans[next] read already
  std::vector<iovec> remote;
  while (next < spans.size()) {
    remote.clear();
    std::size_t wanted = 0;
    for (std::size_t i = next; i < spans.size() && remote.size() < kMaxSpans; ++i) {
      const std::uint64_t start = spans[i].start + (i == next ? inside : 0);
      remote.push_back({reinterpret_cast<void*>(start), spans[i].end - start});
      wanted += spans[i].end - start;
    }
    const iovec local{to, wanted};
    ssize_t got = ::process_vm_readv(pid_, &local, 1, remote.data(), remote.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || got % kPage != 0) {
      // Not readable for us as it is: this page alone, another way.
      const std::uint64_t address = spans[next].start + inside;
      if (got < 0 && errno != EFAULT) return fail_errno("process_vm_readv", place(pid_, address));
      got = got < 0 ? 0 : got - got % static_cast<ssize_t>(kPage);
      if (got == 0) {
        if (auto done = read_one_page(address, to); !done) return done;
        got = kPage;
      }
    }
    to += got;
    for (std::uint64_t left = static_cast<std::uint64_t>(got); left > 0;) {
      const std::uint64_t rest = spans[next].end - spans[next].start - inside;
      if (left < rest) {
        inside += left;
        break;
      }
      left -= rest;
      ++next;
      inside = 0;
    }
  }
  return {};
}

Status PageReader::read_one_page(std::uint64_t address, std::uint8_t* to) {
  const ssize_t got = ::pread(memory_.get(), to, kPage, static_cast<off_t>(address));
  if (got == static_cast<ssize_t>(kPage)) return {};
  const int code = got < 0 ? errno : EIO;
  if (is_guard_page(pid_, address)) {
    std::memset(to, 0, kPage);
    return {};
  }
  return fail_errno("read /proc/pid/mem", place(pid_, address), code);
}

}  // namespace ckpt::pages
