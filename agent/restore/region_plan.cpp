#include "agent/restore/region_plan.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "agent/restore/shared_memory.hpp"
#include "fmt/format.h"
#include "format/image/generation_writer.hpp"
#include "format/posix/try.hpp"

namespace ckpt::restore {
namespace {

using image::Region;
using image::RegionKind;

constexpr std::string_view kMemoryFiles = "/dev/shm/";

bool is_system(const Region& region) {
  return region.kind == RegionKind::vdso || region.kind == RegionKind::vvar;
}

bool is_shared(const Region& region) {
  return region.kind == RegionKind::shared_file || region.kind == RegionKind::shared_anonymous;
}

// A read-only view of a shared file shows what the file has; nothing is written there.
bool is_written(const Region& region) {
  if (region.kind != RegionKind::shared_file) return true;
  return (region.protection & PROT_WRITE) != 0 || has_vm_flag(region.vm_flags, "mw");
}

std::int64_t mtime_ns(const struct stat& info) {
  return info.st_mtim.tv_sec * 1000000000ll + info.st_mtim.tv_nsec;
}

class RegionFiles {
 public:
  RegionFiles(const image::RankImage& image, const RegionOptions& options, ParkedFiles& files,
              std::vector<std::string>& warnings)
      : options_(options),
        files_(files),
        warnings_(warnings),
        memory_(image,
                options.sharing_token.empty() ? "" : options.sharing_token + "-" + options.origin,
                files) {}

  Result<int> descriptor_for(const Region& region) {
    switch (region.kind) {
      case RegionKind::private_file: return private_file(region);
      case RegionKind::shared_file: return shared_file(region);
      case RegionKind::shared_anonymous: return memory_.descriptor_for(region);
      default: return -1;
    }
  }
  std::vector<std::string> names_to_remove() const {
    std::vector<std::string> all = memory_.names_to_remove();
    all.insert(all.end(), marks_.begin(), marks_.end());
    return all;
  }

 private:
  Result<int> private_file(const Region& region) {
    const auto key = std::make_pair(region.path, O_RDONLY);
    if (const auto known = open_.find(key); known != open_.end()) return known->second;
    auto fd = files_.open(region.path, O_RDONLY);
    if (!fd) return with_context(fd.error(), "map", fmt::format("{:#x}", region.start));
    struct stat now {};
    if (::fstat(*fd, &now) != 0) return fail_errno("fstat", region.path);
    if (static_cast<std::uint64_t>(now.st_size) != region.file_size) {
      return fail("map", region.path,
                  fmt::format("the file has {} bytes, at the checkpoint it had {}", now.st_size,
                              region.file_size));
    }
    if (mtime_ns(now) != region.file_mtime_ns) {
      const std::string text =
          "the file was changed since the checkpoint (its modification time differs)";
      if (!options_.accept_changed_files) {
        return fail("map", region.path, text + "; --accept-changed-files maps it all the same");
      }
      warnings_.push_back(region.path + ": " + text);
    }
    open_[key] = *fd;
    return *fd;
  }

  Result<int> shared_file(const Region& region) {
    const int flags = is_written(region) ? O_RDWR : O_RDONLY;
    const auto key = std::make_pair(region.path, flags);
    if (const auto known = open_.find(key); known != open_.end()) return known->second;
    auto fd = files_.open(region.path, flags);
    if (!fd && fd.error().code == ENOENT && flags == O_RDWR && may_be_made_again(region)) {
      // Several ranks may come here at once: whoever is first makes it, and
      // all write the same content before any of them goes on (MPI_Init of
      // the new lower half, which comes later, is a barrier).
      fd = files_.open(region.path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    }
    if (!fd) return with_context(fd.error(), "map shared", fmt::format("{:#x}", region.start));
    if (flags == O_RDWR) CKPT_TRY(claim_name(region.path));
    struct stat now {};
    if (::fstat(*fd, &now) != 0) return fail_errno("fstat", region.path);
    if (static_cast<std::uint64_t>(now.st_size) < region.file_size) {
      if (flags == O_RDONLY) {
        return fail("map shared", region.path,
                    fmt::format("the file has {} bytes, at the checkpoint it had {}", now.st_size,
                                region.file_size));
      }
      if (::ftruncate(*fd, static_cast<off_t>(region.file_size)) != 0) {
        return fail_errno("ftruncate", region.path);
      }
    }
    open_[key] = *fd;
    return *fd;
  }

  // /dev/shm/NAME was another memory on each node: where ranks of several nodes
  // come together on one, the second would overwrite the first's. A symlink
  // says whose it is, as it is made with its content in one step.
  Status claim_name(const std::string& path) {
    if (options_.sharing_token.empty() || path.rfind(kMemoryFiles, 0) != 0) return {};
    std::string mark =
        fmt::format("{}ckpt-origin-{}-{}-{:016x}", kMemoryFiles, ::geteuid(),
                    options_.sharing_token, image::block_checksum(path.data(), path.size()));
    if (::symlink(options_.origin.c_str(), mark.c_str()) == 0) {
      marks_.push_back(std::move(mark));
      return {};
    }
    char found[256];
    const ssize_t length = ::readlink(mark.c_str(), found, sizeof found);
    if (length < 0) return fail_errno("readlink", mark);
    if (std::string_view(found, static_cast<std::size_t>(length)) == options_.origin) return {};
    return fail("map shared", path,
                "ranks of several nodes had it, each node its own, and are on one node now");
  }

  static bool may_be_made_again(const Region& region) {
    return region.path.rfind(kMemoryFiles, 0) == 0 ||
           (region.file_offset == 0 && region.end - region.start >= region.file_size);
  }

  const RegionOptions& options_;
  ParkedFiles& files_;
  std::vector<std::string>& warnings_;
  SharedMemory memory_;
  std::vector<std::string> marks_;
  std::map<std::pair<std::string, int>, int> open_;
};

ckpt_plan_region describe(const Region& region, int fd) {
  ckpt_plan_region to{};
  to.start = region.start;
  to.end = region.end;
  to.fd = fd;
  to.file_offset = fd < 0 ? 0 : region.file_offset;
  to.protection = region.protection;
  if (is_shared(region)) to.flags |= CKPT_REGION_SHARED;
  if (region.grows_down || has_vm_flag(region.vm_flags, "gd")) to.flags |= CKPT_REGION_GROWSDOWN;
  if (has_vm_flag(region.vm_flags, "nr")) to.flags |= CKPT_REGION_NORESERVE;
  if (has_vm_flag(region.vm_flags, "lo")) to.flags |= CKPT_REGION_LOCKED;
  if (!region.runs.empty() && is_written(region)) to.flags |= CKPT_REGION_FILLED;
  const Advice advice = advice_of(region.vm_flags);
  to.advice_before = advice.before;
  for (std::size_t i = 0; i < advice.after.size() && i < std::size(to.advice_after); ++i) {
    to.advice_after[i] = advice.after[i];
  }
  return to;
}

Result<const char**> copy_names(const std::vector<std::string>& names, ArenaMemory& scratch) {
  auto list = CKPT_TRY(scratch.array<const char*>(names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto name = CKPT_TRY(scratch.text(names[i]));
    list[i] = name;
  }
  return list;
}

// Of a shared file all content is stored: what no run names was zero.
void find_holes(const Region& region, int fd, std::vector<ckpt_plan_hole>& holes) {
  if (region.kind != RegionKind::shared_file || !is_written(region)) return;
  if (region.file_size <= region.file_offset) return;
  const std::uint64_t end =
      std::min(region.end, region.start + region.file_size - region.file_offset);
  std::uint64_t at = region.start;
  const auto add = [&](std::uint64_t stop) {
    stop = std::min(stop, end);
    if (at < stop) holes.push_back({at, at - region.start + region.file_offset, stop - at, fd, 0});
  };
  for (const auto& run : region.runs) {
    add(run.address);
    at = run.address + run.pages * image::kPageSize;
  }
  add(end);
}

}  // namespace

bool has_vm_flag(std::string_view vm_flags, std::string_view flag) {
  for (std::size_t at = 0; at + 2 <= vm_flags.size(); at += 3) {
    if (vm_flags.substr(at, 2) == flag) return true;
  }
  return false;
}

Advice advice_of(std::string_view vm_flags) {
  Advice advice;
  if (has_vm_flag(vm_flags, "hg")) advice.before = MADV_HUGEPAGE;
  if (has_vm_flag(vm_flags, "nh")) advice.before = MADV_NOHUGEPAGE;
  const std::pair<const char*, std::uint32_t> later[] = {
      {"dc", MADV_DONTFORK},  {"dd", MADV_DONTDUMP},   {"wf", MADV_WIPEONFORK},
      {"mg", MADV_MERGEABLE}, {"sr", MADV_SEQUENTIAL}, {"rr", MADV_RANDOM}};
  for (const auto& [flag, value] : later) {
    if (has_vm_flag(vm_flags, flag)) advice.after.push_back(value);
  }
  return advice;
}

Status plan_regions(const image::RankImage& image, const RegionOptions& options,
                    ArenaMemory& scratch, ParkedFiles& files, std::vector<std::string>& warnings,
                    ckpt_restore_plan& plan) {
  RegionFiles region_files(image, options, files, warnings);
  auto regions = CKPT_TRY(scratch.array<ckpt_plan_region>(image.process.regions.size()));
  std::vector<ckpt_plan_hole> holes;
  std::uint32_t count = 0;
  for (const Region& region : image.process.regions) {
    if (is_system(region)) continue;
    if (has_vm_flag(region.vm_flags, "ht")) {
      return fail("map", fmt::format("{:#x}", region.start), "hugetlbfs memory is not supported");
    }
    if (region.start >= region.end || ckpt_in_arena(region.start) ||
        ckpt_in_arena(region.end - 1)) {
      return fail("map", fmt::format("{:#x}-{:#x}", region.start, region.end),
                  "not a region outside the arena");
    }
    auto fd = CKPT_TRY(region_files.descriptor_for(region));
    regions[count] = describe(region, fd);
    const std::size_t holes_before = holes.size();
    find_holes(region, fd, holes);
    // Filled, though with zeros: it must be writable meanwhile.
    if (holes.size() > holes_before) regions[count].flags |= CKPT_REGION_FILLED;
    ++count;
  }
  auto names = CKPT_TRY(copy_names(region_files.names_to_remove(), scratch));
  auto plan_holes = CKPT_TRY(scratch.array<ckpt_plan_hole>(holes.size()));
  std::copy(holes.begin(), holes.end(), plan_holes);
  plan.regions = regions;
  plan.holes = plan_holes;
  plan.hole_count = holes.size();
  plan.region_count = count;
  plan.names_to_remove = names;
  plan.name_count = static_cast<std::uint32_t>(region_files.names_to_remove().size());
  return {};
}

Status plan_runs(const image::RankImage& image, const std::vector<std::uint64_t>& checksums,
                 std::uint32_t block_pages, ArenaMemory& scratch, ckpt_restore_plan& plan) {
  std::vector<ckpt_plan_run> runs;
  for (const Region& region : image.process.regions) {
    for (const auto& run : region.runs) {
      const bool inside = run.address >= region.start && run.pages > 0 &&
                          run.pages <= (region.end - run.address) / image::kPageSize &&
                          run.index + run.pages <= image.payload_pages;
      if (!inside) {
        return fail("plan pages of region", fmt::format("{:#x}", region.start),
                    "a run of pages lies outside it");
      }
      if (!is_system(region) && is_written(region))
        runs.push_back({run.address, run.pages, run.index});
    }
  }
  std::sort(runs.begin(), runs.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  const std::uint64_t blocks = (image.payload_pages + block_pages - 1) / block_pages;
  if (checksums.size() != blocks) {
    return fail("plan pages", "",
                fmt::format("{} checksums for {} blocks", checksums.size(), blocks));
  }
  auto plan_runs = CKPT_TRY(scratch.array<ckpt_plan_run>(runs.size()));
  auto sums = CKPT_TRY(scratch.array<std::uint64_t>(checksums.size()));
  auto buffer = CKPT_TRY(scratch.allocate(block_pages * image::kPageSize, image::kPageSize));
  std::copy(runs.begin(), runs.end(), plan_runs);
  std::copy(checksums.begin(), checksums.end(), sums);
  plan.runs = plan_runs;
  plan.run_count = runs.size();
  plan.block_checksums = sums;
  plan.block_count = checksums.size();
  plan.block_pages = block_pages;
  plan.block_buffer = static_cast<std::uint8_t*>(buffer);
  plan.payload_pages = image.payload_pages;
  plan.payload_offset = image.payload_offset;
  return {};
}

}  // namespace ckpt::restore
