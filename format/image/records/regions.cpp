#include "format/image/records/regions.hpp"

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

constexpr hdf5::EnumName kKinds[] = {
    {"anonymous", static_cast<std::uint32_t>(RegionKind::anonymous)},
    {"private_file", static_cast<std::uint32_t>(RegionKind::private_file)},
    {"shared_file", static_cast<std::uint32_t>(RegionKind::shared_file)},
    {"shared_anonymous", static_cast<std::uint32_t>(RegionKind::shared_anonymous)},
    {"vdso", static_cast<std::uint32_t>(RegionKind::vdso)},
    {"vvar", static_cast<std::uint32_t>(RegionKind::vvar)},
};

struct FileRow {
  std::string path;
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t mtime_ns = 0;

  bool operator==(const FileRow&) const = default;
  auto key() const { return std::tie(path, device, inode, size, mtime_ns); }
  bool operator<(const FileRow& other) const { return key() < other.key(); }
};

struct RegionRow {
  std::uint64_t start = 0, end = 0;
  RegionKind kind = RegionKind::anonymous;
  std::uint32_t protection = 0;
  bool grows_down = false, heap = false;
  std::int32_t file = -1;
  std::uint64_t file_offset = 0;
  std::string vm_flags;
};

struct RunRow {
  std::uint32_t region = 0;
  std::uint64_t address = 0, pages = 0, index = 0;
};

constexpr auto file_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::files;
  visit(name::path, row.path);
  visit(name::device, row.device);
  visit(name::inode, row.inode);
  visit(name::size, row.size);
  visit(name::mtime_ns, row.mtime_ns);
};

constexpr auto region_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::regions;
  visit(name::start, row.start);
  visit(name::end, row.end);
  visit.enumeration(name::kind, row.kind, kKinds);
  visit(name::protection, row.protection);
  visit(name::grows_down, row.grows_down);
  visit(name::heap, row.heap);
  visit(name::file, row.file);
  visit(name::file_offset, row.file_offset);
  visit(name::vm_flags, row.vm_flags);
};

constexpr auto run_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::page_runs;
  visit(name::region, row.region);
  visit(name::address, row.address);
  visit(name::pages, row.pages);
  visit(name::index, row.index);
};

FileRow file_of(const Region& region) {
  return {region.path, region.device, region.inode, region.file_size, region.file_mtime_ns};
}

// Gives each distinct file a row, in the order of first use.
class FileTable {
 public:
  std::int32_t row_of(FileRow file) {
    if (file == FileRow{}) return -1;
    const auto [entry, added] = index_.emplace(file, static_cast<std::int32_t>(rows_.size()));
    if (added) rows_.push_back(std::move(file));
    return entry->second;
  }
  const std::vector<FileRow>& rows() const { return rows_; }

 private:
  std::map<FileRow, std::int32_t> index_;
  std::vector<FileRow> rows_;
};

Result<Region> region_from(RegionRow& row, const std::vector<FileRow>& files,
                           const std::string& subject) {
  Region region;
  region.start = row.start;
  region.end = row.end;
  region.kind = row.kind;
  region.protection = row.protection;
  region.grows_down = row.grows_down;
  region.heap = row.heap;
  region.file_offset = row.file_offset;
  region.vm_flags = std::move(row.vm_flags);
  if (row.file == -1) return region;
  if (row.file < 0 || static_cast<std::size_t>(row.file) >= files.size()) {
    return fail("read", subject,
                fmt::format("file {} of region {:#x} is not in the table", row.file, row.start));
  }
  const FileRow& file = files[static_cast<std::size_t>(row.file)];
  region.path = file.path;
  region.device = file.device;
  region.inode = file.inode;
  region.file_size = file.size;
  region.file_mtime_ns = file.mtime_ns;
  return region;
}

Failure bad_region(const std::string& subject, const Region& region, const char* cause) {
  return fail("check regions of", subject,
              fmt::format("{:#x}-{:#x} {}", region.start, region.end, cause));
}

Status check_runs(const Region& region, std::uint64_t payload_pages, const std::string& subject) {
  std::uint64_t behind = region.start;
  for (const PageRun& run : region.runs) {
    if (run.address % kPageSize != 0 || run.address < behind || run.address >= region.end ||
        run.pages == 0 || run.pages > (region.end - run.address) / kPageSize) {
      return bad_region(subject, region, "has a run of pages outside of it or out of order");
    }
    if (run.index > payload_pages || run.pages > payload_pages - run.index) {
      return bad_region(subject, region, "has a run of pages that the payload does not hold");
    }
    behind = run.address + run.pages * kPageSize;
  }
  return {};
}

}  // namespace

Status write_regions(hid_t group, const std::vector<Region>& regions) {
  FileTable files;
  std::vector<RegionRow> rows;
  std::vector<RunRow> runs;
  rows.reserve(regions.size());
  for (const Region& region : regions) {
    const auto index = static_cast<std::uint32_t>(rows.size());
    rows.push_back({region.start, region.end, region.kind, region.protection, region.grows_down,
                    region.heap, files.row_of(file_of(region)), region.file_offset,
                    region.vm_flags});
    for (const PageRun& run : region.runs) {
      runs.push_back({index, run.address, run.pages, run.index});
    }
  }
  CKPT_TRY(hdf5::write_table(group, schema::dataset::regions, rows, region_columns));
  CKPT_TRY(hdf5::write_table(group, schema::dataset::files, files.rows(), file_columns));
  return hdf5::write_table(group, schema::dataset::page_runs, runs, run_columns);
}

Result<std::vector<Region>> read_regions(hid_t group) {
  const std::string subject = hdf5::path_of(group, schema::dataset::regions);
  auto rows =
      CKPT_TRY(hdf5::read_table<RegionRow>(group, schema::dataset::regions, region_columns));
  const auto files =
      CKPT_TRY(hdf5::read_table<FileRow>(group, schema::dataset::files, file_columns));
  const auto runs =
      CKPT_TRY(hdf5::read_table<RunRow>(group, schema::dataset::page_runs, run_columns));
  std::vector<Region> regions;
  regions.reserve(rows.size());
  for (RegionRow& row : rows) regions.push_back(CKPT_TRY(region_from(row, files, subject)));
  for (const RunRow& run : runs) {
    if (run.region >= regions.size()) {
      return fail("read", hdf5::path_of(group, schema::dataset::page_runs),
                  fmt::format("region {} is not in the table", run.region));
    }
    regions[run.region].runs.push_back({run.address, run.pages, run.index});
  }
  return regions;
}

Status check_regions(const std::vector<Region>& regions, std::uint64_t payload_pages,
                     const std::string& subject) {
  std::uint64_t behind = 0;
  for (const Region& region : regions) {
    if (region.start % kPageSize != 0 || region.end % kPageSize != 0 ||
        region.end <= region.start) {
      return bad_region(subject, region, "is not made of whole pages");
    }
    if (region.start < behind) return bad_region(subject, region, "overlaps the one before it");
    CKPT_TRY(check_runs(region, payload_pages, subject));
    behind = region.end;
  }
  return {};
}

}  // namespace ckpt::image::records
