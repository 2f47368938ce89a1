#include "format/image/generation_directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

constexpr std::string_view kPrefix = "gen-";
constexpr std::string_view kSuffix = ".h5";
constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kNodeMark = ".node-";
constexpr std::size_t kFewestDigits = 6;

struct ParsedName {
  std::uint64_t number = 0;
  bool node = false, partial = false;
};

std::optional<ParsedName> parse(std::string_view name) {
  ParsedName parsed;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const auto digits = name.find_first_not_of("0123456789");
  if (digits == std::string_view::npos || digits < kFewestDigits) return std::nullopt;
  const auto end = name.data() + digits;
  if (std::from_chars(name.data(), end, parsed.number).ec != std::errc()) return std::nullopt;
  name.remove_prefix(digits);
  if (name.ends_with(kPartialSuffix)) {
    parsed.partial = true;
    name.remove_suffix(kPartialSuffix.size());
  }
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  if (name.empty()) return parsed;
  parsed.node = true;
  if (!name.starts_with(kNodeMark) || name.size() == kNodeMark.size()) return std::nullopt;
  return parsed;
}

struct NamedFile {
  std::string name;
  ParsedName parsed;
};

Result<std::vector<NamedFile>> named_files(FileSystem& files, const std::string& directory) {
  std::vector<NamedFile> found;
  for (auto& name : CKPT_TRY(files.list_directory(directory))) {
    if (const auto parsed = parse(name)) found.push_back({std::move(name), *parsed});
  }
  return found;
}

std::set<std::uint64_t> committed_numbers(const std::vector<NamedFile>& found) {
  std::set<std::uint64_t> numbers;
  for (const auto& file : found) {
    if (!file.parsed.node && !file.parsed.partial) numbers.insert(file.parsed.number);
  }
  return numbers;
}

// Opens it; what the job record says must be what the name says.
Result<GenerationReader> open_numbered(FileSystem& files, const std::string& path,
                                       std::uint64_t number) {
  auto reader = CKPT_TRY(GenerationReader::open(path, files));
  if (reader.job().generation != number) {
    return fail("open generation", path,
                fmt::format("it says it is generation {}", reader.job().generation));
  }
  return reader;
}

void describe(FileSystem& files, GenerationEntry& entry) {
  const auto reader = open_numbered(files, entry.path, entry.number);
  if (!reader) {
    entry.state = GenerationState::damaged;
    entry.cause = reader.error().message();
    return;
  }
  entry.state = GenerationState::good;
  entry.taken_at_ns = reader->job().taken_at_ns;
  entry.world_size = reader->job().world_size;
}

// What the names alone tell, ascending: good stands for committed, not opened yet.
Result<std::vector<GenerationEntry>> entries_by_name(FileSystem& files,
                                                     const std::string& directory) {
  const auto found = CKPT_TRY(named_files(files, directory));
  const auto committed = committed_numbers(found);
  std::map<std::uint64_t, GenerationEntry> entries;
  for (const NamedFile& file : found) {
    auto& entry = entries[file.parsed.number];
    const std::string path = directory + "/" + file.name;
    const bool is_committed = committed.count(file.parsed.number) != 0;
    if (entry.path.empty()) {
      entry.number = file.parsed.number;
      entry.path =
          is_committed ? directory + "/" + generation_file_name(entry.number) : path;
      entry.state = is_committed ? GenerationState::good : GenerationState::partial;
    }
    // Gone meanwhile (pruned, committed): the next listing will tell.
    if (const auto status = files.stat(path)) {
      if (!file.parsed.partial || !is_committed) entry.size += status->size;
      entry.taken_at_ns = std::max(entry.taken_at_ns, status->modified_ns);
    }
  }
  std::vector<GenerationEntry> ascending;
  for (auto& [number, entry] : entries) ascending.push_back(std::move(entry));
  return ascending;
}

}  // namespace

std::string generation_file_name(std::uint64_t number) {
  return fmt::format("{}{:06}{}", kPrefix, number, kSuffix);
}

std::string node_file_name(std::uint64_t number, std::string_view host) {
  return fmt::format("{}{:06}{}{}{}", kPrefix, number, kNodeMark, host, kSuffix);
}

std::string partial_path(const std::string& path) { return path + std::string(kPartialSuffix); }

std::optional<std::uint64_t> generation_number_of(std::string_view file_name) {
  const auto parsed = parse(file_name);
  if (!parsed) return std::nullopt;
  return parsed->number;
}

GenerationDirectory::GenerationDirectory(FileSystem& files, std::string job_directory)
    : files_(files), directory_(std::move(job_directory)) {}

std::string GenerationDirectory::path_of(std::uint64_t number) const {
  return directory_ + "/" + generation_file_name(number);
}

Result<std::vector<GenerationEntry>> GenerationDirectory::list() const {
  auto entries = CKPT_TRY(entries_by_name(files_, directory_));
  for (GenerationEntry& entry : entries) {
    if (entry.state != GenerationState::partial) describe(files_, entry);
  }
  return entries;
}

Result<std::uint64_t> GenerationDirectory::next_number() const {
  std::uint64_t highest = 0;
  for (const auto& file : CKPT_TRY(named_files(files_, directory_))) {
    highest = std::max(highest, file.parsed.number);
  }
  return highest + 1;
}

Result<GenerationEntry> GenerationDirectory::newest_good(
    VerifyDepth depth, std::vector<SkippedGeneration>* skipped) const {
  auto entries = CKPT_TRY(entries_by_name(files_, directory_));
  bool any = false;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->state == GenerationState::partial) continue;
    any = true;
    auto reader = open_numbered(files_, entry->path, entry->number);
    const Status good = reader ? reader->verify(depth) : Status(Failure(reader.error()));
    if (good) {
      entry->taken_at_ns = reader->job().taken_at_ns;
      entry->world_size = reader->job().world_size;
      return *entry;
    }
    if (skipped != nullptr) skipped->push_back({entry->number, good.error()});
  }
  return fail("find a generation in", directory_,
              any ? "none of the committed ones is good" : "none was committed", ENOENT);
}

Result<std::vector<std::string>> GenerationDirectory::sweep_partial() {
  const auto found = CKPT_TRY(named_files(files_, directory_));
  const auto committed = committed_numbers(found);
  std::vector<std::string> removed;
  for (const NamedFile& file : found) {
    const bool orphan = file.parsed.node && committed.count(file.parsed.number) == 0;
    if (!file.parsed.partial && !orphan) continue;
    const auto gone = files_.unlink(directory_ + "/" + file.name);
    if (!gone && gone.error().code != ENOENT) return Failure(gone.error());
    removed.push_back(file.name);
  }
  if (!removed.empty()) CKPT_TRY(files_.fsync_directory(directory_));
  return removed;
}

Result<std::vector<std::uint64_t>> GenerationDirectory::prune(std::uint64_t keep) {
  const auto found = CKPT_TRY(named_files(files_, directory_));
  const auto committed = committed_numbers(found);
  const auto kept = std::max<std::uint64_t>(keep, 1);
  std::vector<std::uint64_t> removed;
  if (committed.size() <= kept) return removed;
  const auto good = newest_good(VerifyDepth::metadata);
  auto number = committed.begin();
  for (auto excess = committed.size() - kept; excess > 0; --excess, ++number) {
    // With no good one at all, none is thrown away: someone may mend one.
    if (!good || *number == good->number) continue;
    // The generation first: without its nodes' files it must not be offered.
    CKPT_TRY(files_.unlink(path_of(*number)));
    for (const NamedFile& file : found) {
      if (!file.parsed.node || file.parsed.number != *number) continue;
      CKPT_TRY(files_.unlink(directory_ + "/" + file.name));
    }
    removed.push_back(*number);
  }
  if (!removed.empty()) CKPT_TRY(files_.fsync_directory(directory_));
  return removed;
}

}  // namespace ckpt::image
