// DelayedFileSystem: another node's view of a file system, which shows names late.
//
// Purpose: as an NFS client with attribute caching sees what others made: a name
//   that is new there is missing at first, in lookups and in listings.
// Model: a name that this view did not make itself is hidden for its first
//   `lookups` lookups (open without O_CREAT, stat, rename from it); each
//   listing of its directory counts as one.
// Ownership: the inner FileSystem must outlive it. Threads: one at a time.
#pragma once

#include <map>
#include <string>

#include "format/posix/file_system.hpp"

namespace ckpt::fakes {

class DelayedFileSystem final : public FileSystem {
 public:
  DelayedFileSystem(FileSystem& inner, int lookups) : inner_(inner), lookups_(lookups) {}

  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode = 0600) override {
    if ((flags & O_CREAT) != 0) {
      seen_[path] = lookups_;
    } else if (hidden(path)) {
      return fail_errno("open", path, ENOENT);
    }
    return inner_.open(path, flags, mode);
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (hidden(from)) return fail_errno("rename", from + " to " + to, ENOENT);
    seen_[to] = lookups_;
    return inner_.rename(from, to);
  }
  Result<FileStatus> stat(const std::string& path) override {
    if (hidden(path)) return fail_errno("stat", path, ENOENT);
    return inner_.stat(path);
  }
  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    auto names = inner_.list_directory(path);
    if (!names) return names;
    std::erase_if(*names, [&](const std::string& name) { return hidden(path + "/" + name); });
    return names;
  }
  Status unlink(const std::string& path) override { return inner_.unlink(path); }
  Status mkdir(const std::string& path, std::uint32_t mode) override {
    seen_[path] = lookups_;
    return inner_.mkdir(path, mode);
  }
  Status fsync_directory(const std::string& path) override { return inner_.fsync_directory(path); }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return inner_.free_bytes(path);
  }

 private:
  bool hidden(const std::string& path) {
    const auto status = inner_.stat(path);
    if (!status || status->directory) return false;  // the inner one answers
    int& seen = seen_[path];
    if (seen >= lookups_) return false;
    ++seen;
    return true;
  }

  FileSystem& inner_;
  int lookups_;
  std::map<std::string, int> seen_;
};

}  // namespace ckpt::fakes
