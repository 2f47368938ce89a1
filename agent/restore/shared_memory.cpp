#include "agent/restore/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "fmt/format.h"

namespace ckpt::restore {

SharedMemory::SharedMemory(const image::RankImage& image, std::string sharing_token,
                           ParkedFiles& files)
    : token_(std::move(sharing_token)), files_(files) {
  for (const auto& region : image.process.regions) {
    if (region.kind != image::RegionKind::shared_anonymous) continue;
    auto& size = sizes_[{region.device, region.inode}];
    size = std::max({size, region.file_offset + (region.end - region.start), region.file_size});
  }
}

Result<int> SharedMemory::descriptor_for(const image::Region& region) {
  const Identity identity{region.device, region.inode};
  const bool identified = region.inode != 0;
  if (identified) {
    if (const auto known = made_.find(identity); known != made_.end()) return known->second;
  }
  const std::uint64_t size =
      identified ? sizes_[identity] : region.file_offset + (region.end - region.start);
  auto fd = make(region, size);
  if (fd && identified) made_[identity] = *fd;
  return fd;
}

Result<int> SharedMemory::make(const image::Region& region, std::uint64_t size) {
  const bool of_ranks =
      !token_.empty() && region.inode != 0 && region.path.rfind("/dev/shm/", 0) == 0;
  Result<int> fd = -1;
  if (of_ranks) {
    fd = meet(region);
  } else {
    const int made = ::memfd_create("restored", MFD_CLOEXEC);
    if (made < 0) return fail_errno("memfd_create", fmt::format("{:#x}", region.start));
    fd = files_.park(made, "memfd");
  }
  if (!fd) return fd;
  struct stat now {};
  if (::fstat(*fd, &now) != 0) return fail_errno("fstat", region.path);
  if (static_cast<std::uint64_t>(now.st_size) < size &&
      ::ftruncate(*fd, static_cast<off_t>(size)) != 0) {
    return fail_errno("ftruncate", fmt::format("{} to {}", region.path, size));
  }
  return fd;
}

Result<int> SharedMemory::meet(const image::Region& region) {
  const std::string name = fmt::format("/dev/shm/ckpt-restore-{}-{}-{:x}-{:x}", ::geteuid(), token_,
                                       region.device, region.inode);
  auto fd = files_.open(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!fd) return fd;
  struct stat now {};
  if (::fstat(*fd, &now) != 0) return fail_errno("fstat", name);
  if (now.st_uid != ::geteuid()) return fail("open", name, "it belongs to another user");
  names_.push_back(name);
  return fd;
}

}  // namespace ckpt::restore
