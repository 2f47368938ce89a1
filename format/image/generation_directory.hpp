// GenerationDirectory: the generations in a job's directory.
//
// Purpose: which generation is next, which to restart from, which to remove.
// Ownership: nothing is kept open; the FileSystem must outlive it.
// Threads: no state; but sweep_partial() and prune() must not run while
//   another process of this job writes a generation.
// Units: bytes; ns since the epoch.
// Errors: a damaged generation is an entry with its cause, not an error; an
//   unreadable directory is one.
// Source: ARCHITECTURE.md (job directory), SCHEMA.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/image/generation_reader.hpp"
#include "format/image/model.hpp"
#include "format/posix/file_system.hpp"
#include "format/posix/result.hpp"

namespace ckpt::image {

// "gen-000012.h5"
std::string generation_file_name(std::uint64_t number);
// "gen-000012.node-HOST.h5": a node's part of a generation of several nodes. Of the
// host's name letters, digits, '.', '-' and '_' stay; nodes' names may be equal then.
std::string node_file_name(std::uint64_t number, std::string_view host);
// Who writes: the incarnation of the job and the term of its coordinator
// (format/incarnation). In the name of every partial file, so that what is of
// the past never writes into, or commits, what is of the present.
struct Writer {
  std::uint64_t incarnation = 0, term = 0;
  auto operator<=>(const Writer&) const = default;
};
// PATH + ".partial", or PATH + ".i3-5.partial"
std::string partial_path(const std::string& path);
std::string partial_path(const std::string& path, Writer writer);
// PATH again; what is no partial path comes back as it is.
std::string final_path_of(const std::string& partial_path);
// The number in "gen-000012.h5" (also with .partial, .failed or .node-HOST);
// nothing for other names.
std::optional<std::uint64_t> generation_number_of(std::string_view file_name);

enum class GenerationState {
  good,     // opens, is complete, of this schema (payload not read: see verify)
  failed,   // good, but restarts from it failed again and again; `cause` says how
  damaged,  // committed, but does not open; `cause` says why
  partial,  // being written, or left by a crash: never offered
};

struct GenerationEntry {
  std::uint64_t number = 0;
  std::string path;
  std::uint64_t size = 0;        // with its node files
  std::int64_t taken_at_ns = 0;  // of the snapshot; for a damaged or partial one the file's time
  GenerationState state = GenerationState::good;
  std::string cause;  // of a damaged or failed one
  std::int32_t world_size = 0;
};

// What newest_good passed over, and why.
struct SkippedGeneration {
  std::uint64_t number = 0;
  Error error;
};

class GenerationDirectory {
 public:
  GenerationDirectory(FileSystem& files, std::string job_directory);

  std::string path_of(std::uint64_t number) const;

  // Ascending numbers.
  Result<std::vector<GenerationEntry>> list() const;

  // One more than the highest there is, partial and damaged ones included.
  Result<std::uint64_t> next_number() const;

  // The newest that verifies to `depth` and is not marked as failed; those passed
  // over are added to `skipped`.
  Result<GenerationEntry> newest_good(VerifyDepth depth,
                                      std::vector<SkippedGeneration>* skipped = nullptr) const;

  // Numbers of those to restart from, newest first (records are verified).
  Result<std::vector<std::uint64_t>> usable() const;

  // Restarts from it failed: it stays, but is offered no more unless by its
  // number. A second mark replaces the first.
  Status mark_failed(std::uint64_t number, const std::string& cause);

  // Removes what a crash left: *.partial, and node files of no generation.
  // Not what a writer of the present or of later (`from` on) may be writing.
  // Returns the names removed.
  Result<std::vector<std::string>> sweep_partial(Writer from = {UINT64_MAX, UINT64_MAX});

  // Keeps the `keep` newest committed generations (at least 1) and removes the
  // older ones; never the newest good one (its records are verified). Ones that
  // are marked as failed do not count, and go when they are older than the rest.
  // Returns the numbers removed.
  Result<std::vector<std::uint64_t>> prune(std::uint64_t keep);

 private:
  FileSystem& files_;
  std::string directory_;
};

}  // namespace ckpt::image
