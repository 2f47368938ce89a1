// GenerationWriter: makes one generation file (SCHEMA.md).
//
// Purpose: an agent creates gen-N.h5.partial, reserves each rank's payload,
//   writes pages into the reserved ranges from its own threads, gives the
//   records of each rank, and finishes. commit_generation makes it visible.
// Ownership: the writer owns the HDF5 file; the FileSystem must outlive it. A
//   writer that is destroyed before finish() discards the partial file.
// Threads: every call may come from any thread (one lock inside; HDF5 itself
//   is never entered twice). Payload is written outside of HDF5 and the lock.
// Units: pages of 4096 bytes, offsets in bytes in the file, checksum blocks of
//   kChecksumBlockPages pages.
// Errors: Error with operation, file (and rank), cause. After a failed write
//   (disk full) every later call returns that first error; discard() then.
//   Nothing is durable before finish() succeeded, nothing visible before
//   commit_generation did.
// Source: SCHEMA.md; HDF5 1.10 reference.
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

inline constexpr std::uint64_t kChecksumBlockPages = 256;  // 1 MiB
inline constexpr std::uint64_t kChecksumBlockBytes = kChecksumBlockPages * kPageSize;

// XXH3, 64 bits, seed 0: of a block of payload (the last one may be shorter).
std::uint64_t block_checksum(const void* bytes, std::uint64_t size);

enum class GenerationPart {
  whole,  // all ranks of the job; finish() insists on that
  node,   // some ranks, to be linked by link_generation
};

class GenerationWriter {
 public:
  // Makes the file (0600). It must not exist yet: EEXIST otherwise.
  static Result<GenerationWriter> create(FileSystem& files, std::string partial_path,
                                         const JobRecord& job,
                                         GenerationPart part = GenerationPart::whole);
  GenerationWriter(GenerationWriter&&) noexcept;
  GenerationWriter& operator=(GenerationWriter&&) noexcept;
  ~GenerationWriter();

  // Reserves room for a rank's pages: contiguous, page aligned, nothing is
  // written. Returns the byte offset of page 0 in the file (0 for no pages).
  // Fails with ENOSPC when the file system has not that much room left.
  Result<std::uint64_t> reserve_payload(int rank, std::uint64_t pages);

  // The partial file for File::pwrite from any thread, in reserved ranges only.
  // Whole pages from page-aligned memory bypass the page cache where the file
  // system can do that: it costs a tenth of the processor time, and the page
  // cache stays the program's.
  Result<std::unique_ptr<File>> open_payload() const;

  // All records of a rank; once per rank, after reserve_payload (which may be
  // left out for a rank without pages). image.payload_pages must be what was
  // reserved; payload_offset and payload_file are ignored. One checksum for
  // each block of kChecksumBlockPages pages.
  Status write_rank(const RankImage& image, const std::vector<std::uint64_t>& block_checksums);

  // Marks the file complete, closes it, fsync (payload included).
  Status finish();

  // Closes and unlinks. Also done by the destructor of an unfinished writer.
  void discard();

 private:
  struct State;
  explicit GenerationWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Makes a finished file visible under its final name, durably. EEXIST when
// there is one of that name already: a generation is never replaced.
// `still_ours` is asked right before the rename; its error ends the commit.
Status commit_generation(FileSystem& files, const std::string& partial_path,
                         const std::string& final_path,
                         const std::function<Status()>& still_ours = {});

struct FinishedFile {
  std::string partial_path, final_path;
};

// The same for the nodes' files of a generation: all their names are durable when it
// returns, by one fsync of their directory, so the generation may be linked and
// committed then. `named`, in an Error too, gets those that have their final name.
Status commit_node_files(FileSystem& files, const std::vector<FinishedFile>& finished,
                         const std::function<Status()>& still_ours,
                         std::vector<std::string>& named);

// A node's finished file and the ranks it holds.
struct NodeFile {
  std::string path;  // under its final name
  std::vector<std::int32_t> ranks;
};

// Writes (and fsyncs) a generation at `partial_path` whose ranks are external
// links into the nodes' files; commit it as any other. Files in the same
// directory are linked by name, so the directory can be moved.
Status link_generation(FileSystem& files, const std::string& partial_path, const JobRecord& job,
                       const std::vector<NodeFile>& nodes);

}  // namespace ckpt::image
