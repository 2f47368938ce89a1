#include "format/image/generation_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "format/image/generation_file.hpp"
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

struct GenerationWriter::State {
  struct Rank {
    hdf5::Handle group;
    std::uint64_t pages = 0;
    bool written = false;
  };

  std::unique_ptr<GenerationFile> file;  // none: finished or discarded
  std::map<std::int32_t, Rank> ranks;
  std::optional<Error> failed;
  std::uint64_t room = 0;  // free bytes when the file was made
  std::uint64_t reserved = 0;

  // Ok while the file is open and no step has failed.
  Status usable(const char* operation) const {
    if (failed) return Failure(*failed);
    if (!file) return fail(operation, "generation", "it is finished or discarded already");
    return {};
  }
  // The outcome of a step, where the driver's error (disk full) leads: what
  // HDF5 says after one is of no interest.
  Status keep(Status step) {
    if (file && file->opened.error && !failed) failed = *file->opened.error;
    if (!step && !failed) failed = step.error();
    if (failed) return Failure(*failed);
    return {};
  }

  Result<Rank*> open_rank(std::int32_t rank, std::uint64_t pages, std::uint64_t& offset);
  Status check_room(std::uint64_t bytes) const;
  Status write_records(Rank& rank, const RankImage& image,
                       const std::vector<std::uint64_t>& checksums);
  Status check_all_written() const;
};

Status GenerationWriter::State::check_room(std::uint64_t bytes) const {
  // What was written of earlier reservations is gone from today's free bytes,
  // but not from those at the start.
  const auto now = file->opened.files->free_bytes(directory_of(file->path));
  if (!now) return {};  // the writes will tell
  const std::uint64_t available = std::max(room, *now);
  if (reserved + bytes <= available) return {};
  return fail("reserve payload", file->path,
              fmt::format("{} bytes are needed, {} are free: {}", reserved + bytes, available,
                          std::strerror(ENOSPC)),
              ENOSPC);
}

Result<GenerationWriter::State::Rank*> GenerationWriter::State::open_rank(std::int32_t number,
                                                                          std::uint64_t pages,
                                                                          std::uint64_t& offset) {
  const std::string subject = fmt::format("rank {} of {}", number, file->path);
  if (number < 0 || number >= file->job.world_size) {
    return fail("reserve payload", subject,
                fmt::format("the job has {} ranks", file->job.world_size));
  }
  if (ranks.count(number) != 0) return fail("reserve payload", subject, "it was reserved before");
  if (pages > (UINT64_MAX >> 1) / kPageSize) {
    return fail("reserve payload", subject, "too many pages", EFBIG);
  }
  CKPT_TRY(check_room(pages * kPageSize));
  Rank rank;
  rank.group = CKPT_TRY(hdf5::create_group(file->ranks.get(), rank_group_name(number).c_str()));
  rank.pages = pages;
  offset = CKPT_TRY(create_payload(rank.group.get(), pages));
  if (pages > 0) {
    const std::uint64_t end = offset + pages * kPageSize;
    file->opened.payload.emplace_back(offset, end);
    // The file has its size before the pages come: who writes behind the end of a
    // file keeps all other writers waiting.
    const auto status = CKPT_TRY(file->opened.file->status());
    if (status.size < end) CKPT_TRY(file->opened.file->truncate(end));
  }
  reserved += pages * kPageSize;
  return &ranks.emplace(number, std::move(rank)).first->second;
}

Status GenerationWriter::State::write_records(Rank& rank, const RankImage& image,
                                              const std::vector<std::uint64_t>& checksums) {
  const hid_t group = rank.group.get();
  const Process& process = image.process;
  CKPT_TRY(records::write_identity(group, image));
  CKPT_TRY(records::write_regions(group, process.regions));
  CKPT_TRY(records::write_threads(group, process.threads));
  CKPT_TRY(records::write_signals(group, process));
  CKPT_TRY(records::write_timers(group, process));
  CKPT_TRY(records::write_limits(group, process.limits));
  CKPT_TRY(records::write_descriptors(group, process.descriptors));
  CKPT_TRY(write_payload_checksums(group, checksums));
  rank.written = true;
  rank.group.reset();
  return {};
}

Status GenerationWriter::State::check_all_written() const {
  for (const auto& [number, rank] : ranks) {
    if (!rank.written) {
      return fail("finish generation", file->path, fmt::format("rank {} was not written", number));
    }
  }
  if (file->part == GenerationPart::whole &&
      ranks.size() != static_cast<std::size_t>(std::max(file->job.world_size, 0))) {
    return fail("finish generation", file->path,
                fmt::format("{} of {} ranks were written", ranks.size(), file->job.world_size));
  }
  return {};
}

GenerationWriter::GenerationWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
GenerationWriter::GenerationWriter(GenerationWriter&&) noexcept = default;
GenerationWriter& GenerationWriter::operator=(GenerationWriter&& other) noexcept {
  if (this != &other) {
    discard();
    state_ = std::move(other.state_);
  }
  return *this;
}
GenerationWriter::~GenerationWriter() { discard(); }

Result<GenerationWriter> GenerationWriter::create(FileSystem& files, std::string partial_path,
                                                  const JobRecord& job, GenerationPart part) {
  const hdf5::Session session;
  auto state = std::make_unique<State>();
  state->room = files.free_bytes(directory_of(partial_path)).value_or(0);
  state->file = CKPT_TRY(create_generation_file(files, partial_path, job, part));
  return GenerationWriter(std::move(state));
}

Result<std::uint64_t> GenerationWriter::reserve_payload(int rank, std::uint64_t pages) {
  const hdf5::Session session;
  CKPT_TRY(state_->usable("reserve payload"));
  std::uint64_t offset = 0;
  const auto opened = state_->open_rank(rank, pages, offset);
  CKPT_TRY(state_->keep(opened ? Status() : Status(Failure(opened.error()))));
  return offset;
}

Result<std::unique_ptr<File>> GenerationWriter::open_payload() const {
  const hdf5::Session session;
  CKPT_TRY(state_->usable("open payload"));
  return state_->file->opened.files->open(state_->file->path, O_RDWR | O_DIRECT);
}

Status GenerationWriter::write_rank(const RankImage& image,
                                    const std::vector<std::uint64_t>& block_checksums) {
  const hdf5::Session session;
  CKPT_TRY(state_->usable("write rank"));
  auto entry = state_->ranks.find(image.rank);
  if (entry == state_->ranks.end() && image.payload_pages == 0) {
    std::uint64_t offset = 0;
    const auto opened = state_->open_rank(image.rank, 0, offset);
    CKPT_TRY(state_->keep(opened ? Status() : Status(Failure(opened.error()))));
    entry = state_->ranks.find(image.rank);
  }
  const std::string subject = fmt::format("rank {} of {}", image.rank, state_->file->path);
  if (entry == state_->ranks.end()) {
    return state_->keep(fail("write rank", subject, "no payload was reserved"));
  }
  State::Rank& rank = entry->second;
  if (rank.written) return state_->keep(fail("write rank", subject, "it was written before"));
  if (image.payload_pages != rank.pages || block_checksums.size() != blocks_of(rank.pages)) {
    return state_->keep(fail("write rank", subject,
                             fmt::format("{} pages with {} checksums, but {} pages were reserved",
                                         image.payload_pages, block_checksums.size(), rank.pages)));
  }
  Status step = records::check_regions(image.process.regions, rank.pages, subject);
  if (step) step = state_->write_records(rank, image, block_checksums);
  if (!step) step = with_context(step.error(), "write rank", subject);
  return state_->keep(std::move(step));
}

Status GenerationWriter::finish() {
  const hdf5::Session session;
  CKPT_TRY(state_->usable("finish generation"));
  CKPT_TRY(state_->keep(state_->check_all_written()));
  CKPT_TRY(state_->keep(finish_generation_file(*state_->file)));
  state_->file.reset();
  return {};
}

void GenerationWriter::discard() {
  if (!state_) return;  // moved from
  const hdf5::Session session;
  state_->ranks.clear();
  if (state_->file) discard_generation_file(*state_->file);
  state_->file.reset();
}

}  // namespace ckpt::image
