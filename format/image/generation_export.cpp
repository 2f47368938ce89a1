#include "format/image/generation_export.hpp"

#include <algorithm>
#include <vector>

#include "format/image/generation_directory.hpp"
#include "format/image/generation_writer.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

struct RankToCopy {
  RankImage image;
  std::vector<std::uint64_t> checksums;
  std::uint64_t offset = 0;  // in the new file
};

class Export {
 public:
  Export(FileSystem& files, GenerationReader& from, GenerationWriter& to,
         const ExportProgress& progress)
      : files_(files), from_(from), to_(to), progress_(progress) {}

  // All room is reserved first: a disk that is too small is found before the copy.
  Status reserve() {
    for (const std::int32_t number : from_.ranks()) {
      RankToCopy rank;
      rank.image = CKPT_TRY(from_.rank(number));
      rank.checksums = CKPT_TRY(from_.payload_checksums(number));
      rank.offset = CKPT_TRY(to_.reserve_payload(number, rank.image.payload_pages));
      total_ += rank.image.payload_pages * kPageSize;
      ranks_.push_back(std::move(rank));
    }
    return {};
  }

  Status copy() {
    const auto target = CKPT_TRY(to_.open_payload());
    std::vector<std::uint8_t> buffer(kChecksumBlockBytes);
    for (const RankToCopy& rank : ranks_) {
      const auto source = CKPT_TRY(files_.open(rank.image.payload_file, O_RDONLY));
      for (std::uint64_t first = 0; first < rank.image.payload_pages;
           first += kChecksumBlockPages) {
        const std::uint64_t pages = std::min(kChecksumBlockPages, rank.image.payload_pages - first);
        CKPT_TRY(read_payload(*source, rank.image, rank.checksums, first, pages, buffer.data()));
        CKPT_TRY(target->pwrite(buffer.data(), pages * kPageSize, rank.offset + first * kPageSize));
        done_ += pages * kPageSize;
        if (progress_) progress_(done_, total_);
      }
      CKPT_TRY(to_.write_rank(rank.image, rank.checksums));
    }
    return {};
  }

  std::uint64_t done() const { return done_; }

 private:
  FileSystem& files_;
  GenerationReader& from_;
  GenerationWriter& to_;
  const ExportProgress& progress_;
  std::vector<RankToCopy> ranks_;
  std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Result<std::uint64_t> export_generation(FileSystem& files, GenerationReader& from,
                                        const std::string& path, const ExportProgress& progress) {
  if (files.stat(path)) return fail_errno("export to", path, EEXIST);
  const std::string partial = partial_path(path);
  auto writer = CKPT_TRY(GenerationWriter::create(files, partial, from.job()));
  Export step(files, from, writer, progress);
  CKPT_TRY(step.reserve());
  CKPT_TRY(step.copy());
  CKPT_TRY(writer.finish());
  if (Status named = commit_generation(files, partial, path); !named) {
    // Behind its rename the file can be seen; before it, it is nobody's.
    if (!files.stat(path)) static_cast<void>(files.unlink(partial));
    return tl::unexpected(named.error());
  }
  return step.done();
}

}  // namespace ckpt::image
