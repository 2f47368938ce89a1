#include "format/image/generation_directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "format/posix/durable_file.hpp"
#include "format/posix/try.hpp"
#include "format/posix/whole_number.hpp"

namespace ckpt::image {
namespace {

constexpr std::string_view kPrefix = "gen-";
constexpr std::string_view kSuffix = ".h5";
constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kFailedSuffix = ".failed";
constexpr std::string_view kWriterMark = ".i";
constexpr std::string_view kNodeMark = ".node-";
constexpr std::size_t kFewestDigits = 6;

struct ParsedName {
  std::uint64_t number = 0;
  bool node = false, partial = false, failed = false;
  Writer writer;  // of a partial one; zeroes when its name does not say
};

// ".i3-5" off the end of "gen-000012.h5.i3-5".
std::string_view without_writer(std::string_view name, Writer& writer) {
  const std::size_t at = name.rfind(kWriterMark);
  const std::size_t dash = name.rfind('-');
  if (at == std::string_view::npos || dash == std::string_view::npos || dash < at) return name;
  Writer found;
  if (!whole_number(name.substr(at + kWriterMark.size(), dash - at - kWriterMark.size()),
                    found.incarnation) ||
      !whole_number(name.substr(dash + 1), found.term)) {
    return name;
  }
  writer = found;
  return name.substr(0, at);
}

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
    name = without_writer(name, parsed.writer);
  } else if (name.ends_with(kFailedSuffix)) {
    parsed.failed = true;
    name.remove_suffix(kFailedSuffix.size());
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
    if (!file.parsed.node && !file.parsed.partial && !file.parsed.failed) {
      numbers.insert(file.parsed.number);
    }
  }
  return numbers;
}

std::set<std::uint64_t> failed_numbers(const std::vector<NamedFile>& found) {
  std::set<std::uint64_t> numbers;
  for (const auto& file : found) {
    if (file.parsed.failed) numbers.insert(file.parsed.number);
  }
  return numbers;
}

std::string failed_path(const std::string& generation) {
  return generation + std::string(kFailedSuffix);
}

std::string failed_cause(FileSystem& files, const std::string& generation) {
  auto text = read_whole(files, failed_path(generation), 4096);
  std::string cause = text ? *text : "restarts from it failed";
  while (!cause.empty() && cause.back() == '\n') cause.pop_back();
  return cause;
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
  entry.taken_at_ns = reader->job().taken_at_ns;
  entry.world_size = reader->job().world_size;
}

// What the names alone tell, ascending: good stands for committed, not opened yet.
Result<std::vector<GenerationEntry>> entries_by_name(FileSystem& files,
                                                     const std::string& directory) {
  const auto found = CKPT_TRY(named_files(files, directory));
  const auto committed = committed_numbers(found);
  const auto failed = failed_numbers(found);
  std::map<std::uint64_t, GenerationEntry> entries;
  for (const NamedFile& file : found) {
    if (file.parsed.failed) continue;
    auto& entry = entries[file.parsed.number];
    const std::string path = directory + "/" + file.name;
    const bool is_committed = committed.count(file.parsed.number) != 0;
    if (entry.path.empty()) {
      entry.number = file.parsed.number;
      entry.path = is_committed ? directory + "/" + generation_file_name(entry.number) : path;
      entry.state = is_committed ? GenerationState::good : GenerationState::partial;
      if (is_committed && failed.count(entry.number) != 0) {
        entry.state = GenerationState::failed;
        entry.cause = failed_cause(files, entry.path);
      }
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
  // A host calls itself anything, of up to 64 bytes; names from elsewhere may be longer.
  constexpr std::size_t kLongest = 100;
  std::string plain(host.substr(0, kLongest));
  for (char& c : plain) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '-' || c == '_';
    if (!good) c = '-';
  }
  if (plain.empty()) plain = "unnamed";
  host = plain;
  return fmt::format("{}{:06}{}{}{}", kPrefix, number, kNodeMark, host, kSuffix);
}

std::string partial_path(const std::string& path) { return path + std::string(kPartialSuffix); }

std::string partial_path(const std::string& path, Writer writer) {
  return fmt::format("{}{}{}-{}{}", path, kWriterMark, writer.incarnation, writer.term,
                     kPartialSuffix);
}

std::string final_path_of(const std::string& partial_path) {
  std::string_view path = partial_path;
  if (!path.ends_with(kPartialSuffix)) return partial_path;
  path.remove_suffix(kPartialSuffix.size());
  Writer ignored;
  return std::string(without_writer(path, ignored));
}

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
    if (entry->state == GenerationState::failed) {
      if (skipped != nullptr) {
        skipped->push_back({entry->number, Error{"restart", entry->path, entry->cause, 0}});
      }
      continue;
    }
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

Result<std::vector<std::uint64_t>> GenerationDirectory::usable() const {
  const auto entries = CKPT_TRY(entries_by_name(files_, directory_));
  std::vector<std::uint64_t> numbers;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->state != GenerationState::good) continue;
    auto reader = open_numbered(files_, entry->path, entry->number);
    if (reader && reader->verify(VerifyDepth::metadata)) numbers.push_back(entry->number);
  }
  return numbers;
}

Status GenerationDirectory::mark_failed(std::uint64_t number, const std::string& cause) {
  return write_durably(files_, failed_path(path_of(number)), cause + "\n");
}

// What is half written goes first; only then is it asked which nodes' files belong
// to no generation. An older coordinator that still runs could otherwise make its
// generation visible between the two, and lose the nodes' files of it
// (tests/model, BROKEN_SWEEP).
Result<std::vector<std::string>> GenerationDirectory::sweep_partial(Writer from) {
  std::vector<std::string> removed;
  const auto remove = [&](const std::string& name) -> Status {
    const auto gone = files_.unlink(directory_ + "/" + name);
    if (!gone && gone.error().code != ENOENT) return Failure(gone.error());
    removed.push_back(name);
    return {};
  };
  for (const NamedFile& file : CKPT_TRY(named_files(files_, directory_))) {
    if (file.parsed.partial && file.parsed.writer < from) CKPT_TRY(remove(file.name));
  }
  const auto found = CKPT_TRY(named_files(files_, directory_));
  const auto committed = committed_numbers(found);
  for (const NamedFile& file : found) {
    const bool orphan =
        file.parsed.node && !file.parsed.partial && committed.count(file.parsed.number) == 0;
    if (orphan) CKPT_TRY(remove(file.name));
  }
  if (!removed.empty()) CKPT_TRY(files_.fsync_directory(directory_));
  return removed;
}

Result<std::vector<std::uint64_t>> GenerationDirectory::prune(std::uint64_t keep) {
  const auto found = CKPT_TRY(named_files(files_, directory_));
  const auto committed = committed_numbers(found);
  const auto failed = failed_numbers(found);
  std::vector<std::uint64_t> counted;
  for (const std::uint64_t number : committed) {
    if (failed.count(number) == 0) counted.push_back(number);
  }
  const auto kept = std::max<std::uint64_t>(keep, 1);
  std::vector<std::uint64_t> removed;
  if (counted.size() <= kept) return removed;
  const std::uint64_t oldest_kept = counted[counted.size() - kept];
  const auto good = newest_good(VerifyDepth::metadata);
  for (auto number = committed.begin(); number != committed.end() && *number < oldest_kept;
       ++number) {
    // With no good one at all, none is thrown away: someone may mend one.
    if (!good || *number == good->number) continue;
    // The generation first: without its nodes' files it must not be offered.
    CKPT_TRY(files_.unlink(path_of(*number)));
    if (failed.count(*number) != 0) CKPT_TRY(files_.unlink(failed_path(path_of(*number))));
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
