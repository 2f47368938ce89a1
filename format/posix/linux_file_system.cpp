#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "format/posix/file_system.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt {
namespace {

// One write of more than 0x7ffff000 bytes is cut by the kernel; smaller pieces
// also keep a thread from being unkillable for long on slow storage.
constexpr std::size_t kLargestPiece = std::size_t{256} << 20;

FileStatus status_from(const struct stat& st) {
  FileStatus status;
  status.regular = S_ISREG(st.st_mode);
  status.directory = S_ISDIR(st.st_mode);
  status.size = static_cast<std::uint64_t>(st.st_size);
  status.device = st.st_dev;
  status.inode = st.st_ino;
  status.mode = st.st_mode & 07777;
  status.modified_ns = std::int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
  return status;
}

int open_retrying(const char* path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class LinuxFile final : public File {
 public:
  LinuxFile(UniqueFd fd, std::string path, bool direct)
      : fd_(std::move(fd)), path_(std::move(path)), direct_(direct) {}

  Result<std::size_t> pread(void* buffer, std::size_t size, std::uint64_t offset) override {
    std::size_t done = 0;
    bool direct = direct_;
    while (done < size) {
      const ssize_t n =
          ::pread(fd_.get(), static_cast<char*>(buffer) + done,
                  std::min(size - done, kLargestPiece), static_cast<off_t>(offset + done));
      if (n < 0 && worth_another_try(direct)) continue;
      if (n < 0) return fail_errno("pread", path_);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Status pwrite(const void* bytes, std::size_t size, std::uint64_t offset) override {
    std::size_t done = 0;
    bool direct = direct_;
    while (done < size) {
      const ssize_t n =
          ::pwrite(fd_.get(), static_cast<const char*>(bytes) + done,
                   std::min(size - done, kLargestPiece), static_cast<off_t>(offset + done));
      if (n < 0 && worth_another_try(direct)) continue;
      if (n < 0) return fail_errno("pwrite", path_);
      if (n == 0) return fail_errno("pwrite", path_, ENOSPC);
      done += static_cast<std::size_t>(n);
    }
    return {};
  }

  Status truncate(std::uint64_t size) override {
    while (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return fail_errno("ftruncate", path_);
    }
    return {};
  }

  // Not retried on EIO: the kernel has dropped the dirty pages by then, and a
  // second fsync would succeed without them.
  Status fsync() override {
    while (::fsync(fd_.get()) != 0) {
      if (errno != EINTR) return fail_errno("fsync", path_);
    }
    return {};
  }

  Result<FileStatus> status() override {
    struct stat st {};
    if (::fstat(fd_.get(), &st) != 0) return fail_errno("fstat", path_);
    return status_from(st);
  }

  int descriptor() const override { return fd_.get(); }
  const std::string& path() const override { return path_; }

 private:
  // Of a failed transfer: true where it is worth another try. One that was refused
  // for being direct gets it through the page cache, as all later ones.
  bool worth_another_try(bool& direct) {
    if (errno == EINTR) return true;
    if (errno != EINVAL || !std::exchange(direct, false)) return false;
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    return flags >= 0 && ::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) == 0;
  }

  UniqueFd fd_;
  std::string path_;
  const bool direct_;  // opened so
};

class LinuxFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                     std::uint32_t mode) override {
    UniqueFd fd(open_retrying(path.c_str(), flags, mode));
    if (!fd && (flags & O_DIRECT) != 0 && errno == EINVAL) {
      flags &= ~O_DIRECT;
      fd.reset(open_retrying(path.c_str(), flags, mode));
    }
    if (!fd) return fail_errno("open", path);
    return std::make_unique<LinuxFile>(std::move(fd), path, (flags & O_DIRECT) != 0);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("rename", from + " to " + to);
    return {};
  }

  Status unlink(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return fail_errno("unlink", path);
    return {};
  }

  Status mkdir(const std::string& path, std::uint32_t mode) override {
    if (::mkdir(path.c_str(), mode) != 0) return fail_errno("mkdir", path);
    return {};
  }

  Status fsync_directory(const std::string& path) override {
    UniqueFd fd(open_retrying(path.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!fd) return fail_errno("open", path);
    // EINVAL: a file system that has no such operation, its renames are
    // as durable as they get.
    while (::fsync(fd.get()) != 0) {
      if (errno == EINVAL) return {};
      if (errno != EINTR) return fail_errno("fsync directory", path);
    }
    return {};
  }

  Result<FileStatus> stat(const std::string& path) override {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return fail_errno("stat", path);
    return status_from(st);
  }

  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), &::closedir);
    if (!dir) return fail_errno("opendir", path);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(dir.get());
      if (entry == nullptr) {
        if (errno != 0) return fail_errno("readdir", path);
        break;
      }
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs st {};
    if (::statvfs(path.c_str(), &st) != 0) return fail_errno("statvfs", path);
    return std::uint64_t{st.f_bavail} * st.f_frsize;
  }
};

}  // namespace

FileSystem& linux_file_system() {
  static LinuxFileSystem* const files = new LinuxFileSystem;  // outlives every static user
  return *files;
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_name_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace ckpt
