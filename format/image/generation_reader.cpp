#include "format/image/generation_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "format/image/generation_file.hpp"
#include "format/image/generation_writer.hpp"
#include "format/image/hdf5/dataset.hpp"
#include "format/image/payload.hpp"
#include "format/image/records/descriptors.hpp"
#include "format/image/records/identity.hpp"
#include "format/image/records/limits.hpp"
#include "format/image/records/regions.hpp"
#include "format/image/records/signals.hpp"
#include "format/image/records/threads.hpp"
#include "format/image/records/timers.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

struct RankPlace {
  GenerationFile* file = nullptr;
  hdf5::Handle group;
};

// Everything of a rank's group but its payload checksums.
Status read_records(const RankPlace& place, RankImage& image) {
  const hid_t group = place.group.get();
  Process& process = image.process;
  CKPT_TRY(records::read_identity(group, image));
  process.regions = CKPT_TRY(records::read_regions(group));
  process.threads = CKPT_TRY(records::read_threads(group));
  CKPT_TRY(records::read_signals(group, process));
  CKPT_TRY(records::read_timers(group, process));
  process.limits = CKPT_TRY(records::read_limits(group));
  process.descriptors = CKPT_TRY(records::read_descriptors(group));
  CKPT_TRY(read_payload_place(group, image));
  image.payload_file = place.file->path;
  return {};
}

Status check_records(const RankPlace& place, const RankImage& image, std::int32_t rank) {
  const std::string subject = hdf5::path_of(place.group.get());
  if (image.rank != rank) {
    return fail("read", subject, fmt::format("it says it is rank {}", image.rank));
  }
  CKPT_TRY(records::check_regions(image.process.regions, image.payload_pages, subject));
  const std::uint64_t bytes = image.payload_pages * kPageSize;
  if (image.payload_offset > place.file->size || bytes > place.file->size - image.payload_offset) {
    return fail("read", subject, "its pages lie behind the end of the file");
  }
  return {};
}

}  // namespace

struct GenerationReader::State {
  FileSystem* files = nullptr;
  std::unique_ptr<GenerationFile> file;
  std::vector<std::int32_t> ranks;
  std::map<std::string, std::unique_ptr<GenerationFile>> nodes;

  ~State() {
    const hdf5::Session session;
    nodes.clear();
    file.reset();
  }

  Result<GenerationFile*> node(const std::string& path);
  Result<RankPlace> locate(std::int32_t rank);
  Result<RankImage> read_rank(std::int32_t rank);
  Result<std::vector<std::uint64_t>> read_checksums(std::int32_t rank, std::uint64_t pages);
};

Result<GenerationFile*> GenerationReader::State::node(const std::string& path) {
  constexpr std::size_t kMostOpen = 64;  // there may be more nodes than descriptors
  const auto known = nodes.find(path);
  if (known != nodes.end()) return known->second.get();
  auto opened = CKPT_TRY(open_generation_file(*files, path));
  const JobRecord& job = file->job;
  if (opened->part != GenerationPart::node || opened->job.job != job.job ||
      opened->job.generation != job.generation || opened->job.world_size != job.world_size) {
    return fail("open generation", file->path,
                fmt::format("it links {}, which is of job {} generation {}", path, opened->job.job,
                            opened->job.generation));
  }
  if (nodes.size() >= kMostOpen) nodes.clear();
  return (nodes[path] = std::move(opened)).get();
}

Result<RankPlace> GenerationReader::State::locate(std::int32_t rank) {
  const auto link = std::lower_bound(
      file->links.begin(), file->links.end(), rank,
      [](const RankLink& entry, std::int32_t number) { return entry.rank < number; });
  if (link == file->links.end() || link->rank != rank) {
    return fail("read rank " + std::to_string(rank), file->path, "the generation does not hold it");
  }
  RankPlace place;
  place.file = link->file.empty() ? file.get() : CKPT_TRY(node(link->file));
  place.group = CKPT_TRY(hdf5::open_group(place.file->ranks.get(), rank_group_name(rank).c_str()));
  return place;
}

Result<RankImage> GenerationReader::State::read_rank(std::int32_t rank) {
  const auto place = CKPT_TRY(locate(rank));
  RankImage image;
  CKPT_TRY(read_records(place, image));
  CKPT_TRY(check_records(place, image, rank));
  return image;
}

Result<std::vector<std::uint64_t>> GenerationReader::State::read_checksums(std::int32_t rank,
                                                                           std::uint64_t pages) {
  const auto place = CKPT_TRY(locate(rank));
  return read_payload_checksums(place.group.get(), pages);
}

GenerationReader::GenerationReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
GenerationReader::GenerationReader(GenerationReader&&) noexcept = default;
GenerationReader& GenerationReader::operator=(GenerationReader&&) noexcept = default;
GenerationReader::~GenerationReader() = default;

Result<GenerationReader> GenerationReader::open(const std::string& path, FileSystem& files) {
  const hdf5::Session session;
  auto state = std::make_unique<State>();
  state->files = &files;
  state->file = CKPT_TRY(open_generation_file(files, path));
  for (const RankLink& link : state->file->links) state->ranks.push_back(link.rank);
  return GenerationReader(std::move(state));
}

const std::string& GenerationReader::path() const { return state_->file->path; }
const JobRecord& GenerationReader::job() const { return state_->file->job; }
const std::vector<std::int32_t>& GenerationReader::ranks() const { return state_->ranks; }

Result<RankImage> GenerationReader::rank(std::int32_t rank) {
  const hdf5::Session session;
  auto image = state_->read_rank(rank);
  if (!image) return with_context(image.error(), fmt::format("read rank {} of", rank), path());
  return image;
}

Result<std::vector<std::uint64_t>> GenerationReader::payload_checksums(std::int32_t rank) {
  const hdf5::Session session;
  const auto place = CKPT_TRY(state_->locate(rank));
  RankImage image;
  CKPT_TRY(read_payload_place(place.group.get(), image));
  return state_->read_checksums(rank, image.payload_pages);
}

Status GenerationReader::verify(VerifyDepth depth,
                                const std::function<void(std::uint64_t)>& progress) {
  std::uint64_t done = 0;
  std::vector<std::uint8_t> buffer;
  // File by file: none is opened twice.
  std::vector<RankLink> links = state_->file->links;
  std::stable_sort(links.begin(), links.end(),
                   [](const RankLink& a, const RankLink& b) { return a.file < b.file; });
  for (const RankLink& link : links) {
    const std::int32_t number = link.rank;
    const auto image = CKPT_TRY(rank(number));
    const auto checksums = payload_checksums(number);
    if (!checksums) {
      return with_context(checksums.error(), fmt::format("read rank {} of", number), path());
    }
    if (depth == VerifyDepth::metadata || image.payload_pages == 0) continue;
    // HDF5 is not needed for the pages: other threads may use it meanwhile.
    const auto file = CKPT_TRY(state_->files->open(image.payload_file, O_RDONLY));
    buffer.resize(kChecksumBlockBytes);
    for (std::uint64_t first = 0; first < image.payload_pages; first += kChecksumBlockPages) {
      const std::uint64_t pages = std::min(kChecksumBlockPages, image.payload_pages - first);
      CKPT_TRY(read_payload(*file, image, *checksums, first, pages, buffer.data()));
      done += pages * kPageSize;
      if (progress) progress(done);
    }
  }
  return {};
}

}  // namespace ckpt::image
