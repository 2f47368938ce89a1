// GenerationReader: reads one generation file (SCHEMA.md), trusting nothing.
//
// Purpose: restart plans, `ckpt-coord verify`, `list`.
// Ownership: owns the HDF5 file; the FileSystem must outlive it.
// Threads: any thread, one lock inside.
// Units: see model.hpp.
// Errors: open() tells apart: missing (ENOENT), empty or truncated, not HDF5,
//   HDF5 but not ours, another schema version, unfinished. Everything read is
//   checked against its checksum. HDF5's error stack is never printed; its
//   innermost message is the cause.
// Source: SCHEMA.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/image/model.hpp"
#include "format/posix/file_system.hpp"
#include "format/posix/result.hpp"

namespace ckpt::image {

enum class VerifyDepth {
  metadata,  // every record of every rank
  payload,   // and every block of pages
};

class GenerationReader {
 public:
  static Result<GenerationReader> open(const std::string& path,
                                       FileSystem& files = linux_file_system());
  GenerationReader(GenerationReader&&) noexcept;
  GenerationReader& operator=(GenerationReader&&) noexcept;
  ~GenerationReader();

  const std::string& path() const;
  const JobRecord& job() const;
  // Ascending.
  const std::vector<std::int32_t>& ranks() const;

  // A rank's records, checksums verified. payload_file and payload_offset say
  // where its pages are (another file when the generation links node files).
  Result<RankImage> rank(std::int32_t rank);

  // A rank's payload checksums, one a block of kChecksumBlockPages pages.
  Result<std::vector<std::uint64_t>> payload_checksums(std::int32_t rank);

  // Ok, or what is wrong first: rank, dataset, block. `progress` gets the
  // payload bytes read so far.
  Status verify(VerifyDepth depth, const std::function<void(std::uint64_t)>& progress = {});

 private:
  struct State;
  explicit GenerationReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads pages [first, first + pages) of a rank into `buffer`, each block they
// touch verified against its checksum, from a file opened by the caller.
// Needs no HDF5: for the restore, several threads at a time.
Status read_payload(File& file, const RankImage& image, const std::vector<std::uint64_t>& checksums,
                    std::uint64_t first, std::uint64_t pages, void* buffer);

}  // namespace ckpt::image
