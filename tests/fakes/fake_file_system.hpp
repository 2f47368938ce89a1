// FakeFileSystem: a file system in memory that can fail and lose power.
//
// Purpose: durability tests. Every change (write, truncate, fsync, create,
//   rename, unlink, mkdir, directory fsync) is one numbered step. A test runs
//   an operation once to count its steps, then again and again with a failure
//   or a power cut at each.
// Model: bytes not covered by a later fsync of their file, and names not
//   covered by a later fsync of their directory, may be lost: after a power cut
//   `Survival` says which of them are there. Names are lost in the reverse of
//   their order (a journal); bytes in any combination.
// Ownership: Files refer to their FakeFileSystem. Threads: any (one lock).
// Errors: as the kernel's: ENOENT, EEXIST, EIO after the power cut ...
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "format/posix/file_system.hpp"

namespace ckpt::fakes {

enum class Survival {
  nothing,  // only what was fsynced
  everything,
  some_a,  // a deterministic half of the unsynced writes; names up to the middle
  some_b,  // the other half; all names
};

class FakeFileSystem : public FileSystem {
 public:
  FakeFileSystem();

  // The step with this number (from 0) fails with `error`, once.
  void fail_step(std::uint64_t step, int error);
  // All steps from this number on fail with EIO, and so do reads.
  void cut_power_at(std::uint64_t step);
  std::uint64_t steps() const;
  // What would make the sum of file sizes larger fails with ENOSPC: there are no holes.
  void set_capacity(std::uint64_t bytes);

  // A new file system with what would be found after a power cut now.
  std::unique_ptr<FakeFileSystem> after_power_cut(Survival survival) const;

  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status unlink(const std::string& path) override;
  Status mkdir(const std::string& path, std::uint32_t mode) override;
  Status fsync_directory(const std::string& path) override;
  Result<FileStatus> stat(const std::string& path) override;
  Result<std::vector<std::string>> list_directory(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

  struct Node;  // a file's content: now, durable, and the writes in between

 private:
  friend class FakeFile;
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  // One change of names, to be replayed on the durable ones.
  struct NameChange {
    std::string removed, added;  // "" = none
    std::shared_ptr<Node> node;
  };

  Status step(const char* operation, const std::string& subject);
  void change_names(NameChange change);
  static void apply(const NameChange& change, Names& names);
  std::uint64_t used() const;

  mutable std::mutex mutex_;
  Names names_, durable_names_;
  std::vector<NameChange> pending_;  // not fsynced, in order
  std::uint64_t steps_ = 0, next_inode_ = 1;
  std::optional<std::pair<std::uint64_t, int>> failing_;
  std::optional<std::uint64_t> power_cut_;
  std::uint64_t capacity_ = std::uint64_t{1} << 40;
};

}  // namespace ckpt::fakes
