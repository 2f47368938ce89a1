#include "format/posix/durable_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace ckpt {
namespace {

// Two writers (threads or processes) never share a temporary file.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return path + "." + std::to_string(::getpid()) + "-" + std::to_string(++counter) + ".tmp";
}

Status write_and_sync(File& file, std::string_view bytes) {
  if (auto written = file.pwrite(bytes.data(), bytes.size(), 0); !written) return written;
  return file.fsync();
}

}  // namespace

Status write_durably(FileSystem& files, const std::string& path, std::string_view bytes,
                     std::uint32_t mode) {
  const std::string temporary = temporary_name(path);
  auto file = files.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (!file) return Failure(file.error());
  Status done = write_and_sync(**file, bytes);
  file->reset();
  if (done) done = files.rename(temporary, path);
  if (!done) {
    // The first error is the one to report; an orphan .tmp is harmless.
    (void)files.unlink(temporary);
    return done;
  }
  return files.fsync_directory(directory_of(path));
}

Result<std::string> read_whole(FileSystem& files, const std::string& path, std::uint64_t limit) {
  auto file = files.open(path, O_RDONLY);
  if (!file) return Failure(file.error());
  const auto status = (*file)->status();
  if (!status) return Failure(status.error());
  if (status->directory) return fail_errno("read", path, EISDIR);
  // Read to the end rather than to st_size: files of /proc say 0.
  std::string text;
  std::string piece(std::max<std::uint64_t>(4096, std::min(status->size + 1, limit + 1)), '\0');
  for (;;) {
    const auto got = (*file)->pread(piece.data(), piece.size(), text.size());
    if (!got) return Failure(got.error());
    text.append(piece, 0, *got);
    if (text.size() > limit) return fail_errno("read", path, EFBIG);
    if (*got < piece.size()) return text;
  }
}

Status make_directories(FileSystem& files, const std::string& path, std::uint32_t mode) {
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end < path.size() && path[end] != '/') continue;
    const std::string prefix = path.substr(0, end);
    if (prefix.back() == '/') continue;
    const auto made = files.mkdir(prefix, mode);
    if (made) {
      if (auto synced = files.fsync_directory(directory_of(prefix)); !synced) return synced;
      continue;
    }
    if (made.error().code == EEXIST || made.error().code == EACCES || made.error().code == EROFS ||
        made.error().code == EISDIR) {
      const auto status = files.stat(prefix);
      if (status && status->directory) continue;
      if (status) return fail_errno("mkdir", prefix, ENOTDIR);
    }
    return made;
  }
  return {};
}

}  // namespace ckpt
