#include "agent/restore/descriptor_plan.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "fmt/format.h"
#include "format/posix/try.hpp"

namespace ckpt::restore {
namespace {

using image::Descriptor;
using image::DescriptorKind;

constexpr int kReopenFlags = O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT |
                             O_NOATIME | O_LARGEFILE | O_PATH;

bool is_standard(const Descriptor& one) {
  return one.kind == DescriptorKind::standard && one.fd <= 2;
}

bool open_for_writing(const Descriptor& one) {
  return (one.flags & O_PATH) == 0 && (one.flags & O_ACCMODE) != O_RDONLY;
}

std::string subject_of(const Descriptor& one) { return fmt::format("fd {} {}", one.fd, one.path); }

Result<int> reopen(const Descriptor& one, ParkedFiles& files) {
  int flags = static_cast<int>(one.flags) & kReopenFlags;
  if (one.kind == DescriptorKind::directory) flags |= O_DIRECTORY;
  auto fd = files.open(one.path, flags);
  if (!fd) return with_context(fd.error(), "reopen", fmt::format("fd {}", one.fd));
  struct stat now {};
  if (::fstat(*fd, &now) != 0) return fail_errno("fstat", subject_of(one));
  if (one.kind == DescriptorKind::regular_file) {
    if (!S_ISREG(now.st_mode)) return fail("reopen", subject_of(one), "no longer a regular file");
    if (static_cast<std::uint64_t>(now.st_size) < one.size) {
      return fail(
          "reopen", subject_of(one),
          fmt::format("the file has {} bytes, at the checkpoint it had {}", now.st_size, one.size));
    }
  }
  if (one.kind == DescriptorKind::char_device && !S_ISCHR(now.st_mode)) {
    return fail("reopen", subject_of(one), "no longer a character device");
  }
  return fd;
}

ckpt_plan_descriptor describe(const Descriptor& one, int source) {
  ckpt_plan_descriptor to{};
  to.number = one.fd;
  to.source = source;
  to.close_on_exec = (one.flags & O_CLOEXEC) != 0 ? 1 : 0;
  to.offset = -1;
  if (one.same_as >= 0 || (one.flags & O_PATH) != 0) return to;  // offset and size are the other's
  const bool seekable =
      one.kind == DescriptorKind::regular_file || one.kind == DescriptorKind::directory;
  if (seekable) to.offset = one.offset;
  if (one.kind == DescriptorKind::regular_file && open_for_writing(one)) {
    to.truncate = 1;
    to.size = one.size;
  }
  return to;
}

}  // namespace

int first_parking_number(const image::Process& process) {
  int highest = 63;
  for (const auto& one : process.descriptors) highest = std::max(highest, one.fd);
  return highest + 1;
}

Status plan_descriptors(const image::Process& process, ArenaMemory& scratch, ParkedFiles& files,
                        ckpt_restore_plan& plan) {
  std::vector<ckpt_plan_descriptor> originals, duplicates;
  std::uint32_t standard_closed = 7;
  for (const Descriptor& one : process.descriptors) {
    if (one.fd < 0) return fail("plan descriptors", subject_of(one), "not a descriptor number");
    if (one.kind == DescriptorKind::ignored) continue;
    if (one.fd <= 2) standard_closed &= ~(1u << one.fd);
    if (is_standard(one)) continue;
    if (one.same_as >= 0) {
      duplicates.push_back(describe(one, one.same_as));
    } else if (one.kind == DescriptorKind::standard) {
      duplicates.push_back(describe(one, 2));
    } else {
      auto fd = CKPT_TRY(reopen(one, files));
      originals.push_back(describe(one, fd));
    }
  }
  auto all = CKPT_TRY(scratch.array<ckpt_plan_descriptor>(originals.size() + duplicates.size()));
  std::copy(duplicates.begin(), duplicates.end(),
            std::copy(originals.begin(), originals.end(), all));
  plan.descriptors = all;
  plan.descriptor_count = static_cast<std::uint32_t>(originals.size() + duplicates.size());
  plan.standard_closed = standard_closed;
  return {};
}

}  // namespace ckpt::restore
