// The storage that coordinators and agents of a simulation share.
//
// Purpose: an operation of a coordinator's storage thread (commit, sweep) as it
//   is, real code over a FileSystem, but stopped before each file operation: so
//   the operations of two coordinators mix in any order, and one may die between
//   any two steps. And a look at each name that appears or goes: what a visible
//   generation consists of must stay.
// Ownership: a StorageOperation ends its thread; it refers to nothing of the
//   schedule but what its body does.
// Threads: one runs at a time: an operation only while step() waits for it.
// Errors: what must not be is told to `fault`, in words.
#pragma once

#include <functional>
#include <map>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "format/posix/file_system.hpp"
#include "tests/fakes/fake_file_system.hpp"

namespace ckpt::simulation {

class StorageOperation {
 public:
  explicit StorageOperation(std::function<void(StorageOperation&)> body);
  ~StorageOperation();  // dies where it stands
  StorageOperation(const StorageOperation&) = delete;
  StorageOperation& operator=(const StorageOperation&) = delete;

  // As far as its next file operation; false: it has ended.
  bool step();
  // Of its own thread: lets the others go first.
  void pause();

 private:
  struct Killed {};
  bool killed_ = false, ended_ = false;
  std::binary_semaphore turn_{0}, paused_{0};
  std::thread thread_;  // last: it uses the others
};

// Forwards; what a subclass is about it does itself.
class ForwardedFiles : public FileSystem {
 public:
  explicit ForwardedFiles(FileSystem& inner) : inner_(inner) {}
  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode = 0600) override {
    return inner_.open(path, flags, mode);
  }
  Status rename(const std::string& from, const std::string& to) override {
    return inner_.rename(from, to);
  }
  Status unlink(const std::string& path) override { return inner_.unlink(path); }
  Status mkdir(const std::string& path, std::uint32_t mode) override {
    return inner_.mkdir(path, mode);
  }
  Status fsync_directory(const std::string& path) override { return inner_.fsync_directory(path); }
  Result<FileStatus> stat(const std::string& path) override { return inner_.stat(path); }
  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    return inner_.list_directory(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return inner_.free_bytes(path);
  }

 protected:
  FileSystem& inner_;
};

class SharedStorage final : public ForwardedFiles {
 public:
  // `visible`: a generation's own name appears; the files it consists of.
  using Visible = std::function<void(std::uint64_t number, const std::string& from,
                                     const std::vector<std::string>& parts)>;
  SharedStorage(std::string directory, Visible visible,
                std::function<void(const std::string&)> fault);

  Status rename(const std::string& from, const std::string& to) override;
  Status unlink(const std::string& path) override;

  // What a file says; "" when it is not there.
  std::string text(const std::string& path);
  Status write(FileSystem& through, const std::string& path, const std::string& text);
  const std::string& directory() const { return directory_; }
  // Names of files that no visible generation consists of.
  std::vector<std::string> strays();
  std::size_t generations() const { return parts_.size(); }

 private:
  fakes::FakeFileSystem memory_;
  std::string directory_;
  Visible visible_;
  std::function<void(const std::string&)> fault_;
  std::map<std::uint64_t, std::vector<std::string>> parts_;  // of what is visible
};

// A coordinator's view: each file operation waits for its turn.
class SteppedFiles final : public ForwardedFiles {
 public:
  SteppedFiles(FileSystem& shared, StorageOperation& operation)
      : ForwardedFiles(shared), operation_(operation) {}

  // A file that is missing is not waited for: time stands still here.
  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode = 0600) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status unlink(const std::string& path) override;
  Result<FileStatus> stat(const std::string& path) override;
  Result<std::vector<std::string>> list_directory(const std::string& path) override;

 private:
  StorageOperation& operation_;
};

}  // namespace ckpt::simulation
