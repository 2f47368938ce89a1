#include "format/posix/patient_file_system.hpp"

#include <algorithm>
#include <thread>

namespace ckpt {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{5}, kLongestPause{500};

bool may_come(const Error& error) { return error.code == ENOENT || error.code == ESTALE; }

std::string in_seconds(milliseconds time) {
  return std::to_string(time.count() / 1000) + "." + std::to_string(time.count() % 1000 / 100) +
         " s";
}

}  // namespace

PatientFileSystem::PatientFileSystem(FileSystem& inner, milliseconds patience, Pause pause)
    : inner_(inner), pause_(std::move(pause)), left_(patience) {
  if (!pause_) pause_ = [](milliseconds time) { std::this_thread::sleep_for(time); };
}

bool PatientFileSystem::wait_a_little(milliseconds& pause) {
  pause = std::clamp(pause * 2, kFirstPause, kLongestPause);
  {
    const std::lock_guard lock(mutex_);
    pause = std::min(pause, left_);
    left_ -= pause;
  }
  if (pause.count() <= 0) return false;
  pause_(pause);
  return true;
}

Result<std::unique_ptr<File>> PatientFileSystem::open(const std::string& path, int flags,
                                                      std::uint32_t mode) {
  milliseconds pause{0}, waited{0};
  for (;;) {
    auto file = inner_.open(path, flags, mode);
    if (file || (flags & O_CREAT) != 0 || !may_come(file.error())) return file;
    static_cast<void>(inner_.list_directory(directory_of(path)));
    if (!wait_a_little(pause)) {
      if (waited.count() == 0) return file;
      return fail(file.error().operation, file.error().subject,
                  file.error().cause + " (waited " + in_seconds(waited) + " for it)",
                  file.error().code);
    }
    waited += pause;
  }
}

Result<FileStatus> PatientFileSystem::stat(const std::string& path) {
  // Looking whether a file is missing is not waiting for it: a directory, or
  // what may not be opened, is asked about as it is.
  auto status = inner_.stat(path);
  if (status && !status->regular) return status;
  auto file = open(path, O_RDONLY);
  if (!file) return Failure(file.error());
  return (*file)->status();
}

}  // namespace ckpt
