// PatientFileSystem: reads files that must be there, though they are seen late.
//
// Purpose: on shared storage one node sees a file that another has made or
//   renamed only after its caches have expired. Who knows that a file is there
//   (it was told its name) opens it through this: ENOENT and ESTALE are
//   waited out, with the directory read anew each time (which is what makes an
//   NFS client drop a name it remembers as missing). stat() opens the file, as
//   only an opened file's size is sure to be fresh.
// Ownership: the inner FileSystem must outlive it; its Files are the inner's.
// Threads: as the inner one. Units: milliseconds.
// Errors: the inner one's; a file that does not come in time keeps its ENOENT,
//   with how long was waited. The patience is for all files together.
// Source: nfs(5) "Data and metadata coherence".
#pragma once

#include <chrono>
#include <functional>
#include <mutex>

#include "format/posix/file_system.hpp"

namespace ckpt {

class PatientFileSystem final : public FileSystem {
 public:
  using Pause = std::function<void(std::chrono::milliseconds)>;
  // More than an NFS client's acdirmax of 60 s.
  static constexpr std::chrono::milliseconds kSharedStorage{75'000};

  PatientFileSystem(FileSystem& inner, std::chrono::milliseconds patience, Pause pause = {});

  // Waits for files that are opened without O_CREAT.
  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode = 0600) override;
  Result<FileStatus> stat(const std::string& path) override;

  Status rename(const std::string& from, const std::string& to) override {
    return inner_.rename(from, to);
  }
  Status unlink(const std::string& path) override { return inner_.unlink(path); }
  Status mkdir(const std::string& path, std::uint32_t mode) override {
    return inner_.mkdir(path, mode);
  }
  Status fsync_directory(const std::string& path) override { return inner_.fsync_directory(path); }
  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    return inner_.list_directory(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return inner_.free_bytes(path);
  }

 private:
  bool wait_a_little(std::chrono::milliseconds& pause);

  FileSystem& inner_;
  Pause pause_;
  std::mutex mutex_;
  std::chrono::milliseconds left_;
};

}  // namespace ckpt
