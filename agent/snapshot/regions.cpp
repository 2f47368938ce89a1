#include "agent/snapshot/regions.hpp"

#include <sys/stat.h>

#include <cstdio>

#include "mpi_shim/host/lower_half.h"

namespace ckpt::snapshot {
namespace {

std::string place_of(const proc::Mapping& mapping) {
  char text[64];
  std::snprintf(text, sizeof text, "%#llx-%#llx", static_cast<unsigned long long>(mapping.start),
                static_cast<unsigned long long>(mapping.end));
  return mapping.name.empty() ? text : std::string(text) + " " + mapping.name;
}

void add_file(const proc::Mapping& mapping, image::Region& region) {
  region.path = mapping.name;
  region.file_offset = mapping.offset;
  region.device = mapping.device;
  region.inode = mapping.inode;
  struct stat status {};
  if (::stat(mapping.name.c_str(), &status) == 0 && status.st_ino == mapping.inode) {
    region.file_size = static_cast<std::uint64_t>(status.st_size);
    region.file_mtime_ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
  }
}

// A path that now names another file, or none, is as good as deleted.
bool file_is_there(const proc::Mapping& mapping) {
  struct stat status {};
  return !mapping.deleted && ::stat(mapping.name.c_str(), &status) == 0 &&
         status.st_ino == mapping.inode && S_ISREG(status.st_mode);
}

}  // namespace

bool is_left_out(const proc::Mapping& mapping) {
  return ckpt_in_arena(mapping.start) || mapping.name == "[vsyscall]" ||
         mapping.name == "[uprobes]";
}

bool is_shared_memory(const proc::Mapping& mapping) {
  return mapping.shared && !is_left_out(mapping);
}

bool is_missing_in_fork(const proc::Mapping& mapping) {
  return mapping.has_flag("dc") || mapping.has_flag("wf");
}

Result<RegionRecord> make_region(const proc::Mapping& mapping) {
  RegionRecord record;
  image::Region& region = record.region;
  region.start = mapping.start;
  region.end = mapping.end;
  region.protection = mapping.protection;
  region.vm_flags = mapping.vm_flags;
  if (mapping.name == "[vdso]") {
    region.kind = image::RegionKind::vdso;
    return record;
  }
  if (mapping.name.starts_with("[vvar")) {
    region.kind = image::RegionKind::vvar;
    return record;
  }
  if (mapping.has_flag("io") || mapping.has_flag("pf"))
    return fail("", "mapping " + place_of(mapping), "is memory of a device", ENOTSUP);
  region.grows_down = mapping.has_flag("gd") || mapping.name == "[stack]";
  region.heap = mapping.name == "[heap]";
  if (!mapping.has_file()) {
    region.kind = image::RegionKind::anonymous;
  } else if (mapping.shared) {
    const bool named = file_is_there(mapping);
    region.kind = named ? image::RegionKind::shared_file : image::RegionKind::shared_anonymous;
    add_file(mapping, region);
    record.all_pages = true;
  } else if (file_is_there(mapping)) {
    region.kind = image::RegionKind::private_file;
    add_file(mapping, region);
  } else {
    // Its file cannot be mapped again: all it shows is kept as private memory.
    region.kind = image::RegionKind::anonymous;
    record.all_pages = true;
  }
  return record;
}

}  // namespace ckpt::snapshot
