#include "tests/simulation/shared_storage.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "format/image/generation_directory.hpp"
#include "format/posix/try.hpp"

namespace ckpt::simulation {

// ---- operations

StorageOperation::StorageOperation(std::function<void(StorageOperation&)> body)
    : thread_([this, body = std::move(body)] {
        turn_.acquire();
        try {
          if (!killed_) body(*this);
        } catch (const Killed&) {  // the process is gone: nothing is cleaned up
        }
        ended_ = true;
        paused_.release();
      }) {}

StorageOperation::~StorageOperation() {
  killed_ = true;
  if (!ended_) step();
  thread_.join();
}

bool StorageOperation::step() {
  if (ended_) return false;
  turn_.release();
  paused_.acquire();
  return !ended_;
}

void StorageOperation::pause() {
  paused_.release();
  turn_.acquire();
  if (killed_) throw Killed();
}

// ---- what all share

SharedStorage::SharedStorage(std::string directory, Visible visible,
                             std::function<void(const std::string&)> fault)
    : ForwardedFiles(memory_),
      directory_(std::move(directory)),
      visible_(std::move(visible)),
      fault_(std::move(fault)) {
  if (!memory_.mkdir(directory_, 0700)) fault_("no directory");
}

Status SharedStorage::rename(const std::string& from, const std::string& to) {
  const bool there = memory_.stat(to).has_value();
  CKPT_TRY(memory_.rename(from, to));
  if (there) fault_(to + " was replaced");
  const auto number = image::generation_number_of(base_name_of(to));
  if (!number || base_name_of(to) != image::generation_file_name(*number)) return {};
  std::vector<std::string> parts{to};
  std::istringstream words(text(to));
  std::string word;
  words >> word;
  if (word == "links") {
    parts.clear();
    while (words >> word) parts.push_back(directory_ + "/" + word);
  }
  for (const std::string& part : parts) {
    if (!memory_.stat(part)) fault_(to + " became visible without " + part);
  }
  if (!parts_.emplace(*number, parts).second) fault_(to + " was committed twice");
  parts_[*number].push_back(to);
  visible_(*number, from, parts);
  return {};
}

Status SharedStorage::unlink(const std::string& path) {
  CKPT_TRY(memory_.unlink(path));
  for (const auto& [number, parts] : parts_) {
    if (std::find(parts.begin(), parts.end(), path) != parts.end()) {
      fault_(path + " was taken from a visible generation");
    }
  }
  return {};
}

std::string SharedStorage::text(const std::string& path) {
  auto file = memory_.open(path, O_RDONLY, 0);
  if (!file) return "";
  std::string text(4096, '\0');
  const auto got = (*file)->pread(text.data(), text.size(), 0);
  text.resize(got ? *got : 0);
  return text;
}

Status SharedStorage::write(FileSystem& through, const std::string& path, const std::string& text) {
  const auto file = CKPT_TRY(through.open(path, O_WRONLY | O_CREAT | O_TRUNC));
  return file->pwrite(text.data(), text.size(), 0);
}

std::vector<std::string> SharedStorage::strays() {
  std::set<std::string> known;
  for (const auto& [number, parts] : parts_) known.insert(parts.begin(), parts.end());
  std::vector<std::string> strays;
  const auto names = memory_.list_directory(directory_);
  for (const std::string& name : *names) {
    if (!known.contains(directory_ + "/" + name)) strays.push_back(name);
  }
  return strays;
}

// ---- one coordinator's view

Result<std::unique_ptr<File>> SteppedFiles::open(const std::string& path, int flags,
                                                 std::uint32_t mode) {
  operation_.pause();
  auto file = inner_.open(path, flags, mode);
  if (!file && file.error().code == ENOENT) return fail_errno("open", path, EIO);
  return file;
}

Status SteppedFiles::rename(const std::string& from, const std::string& to) {
  operation_.pause();
  return inner_.rename(from, to);
}

Status SteppedFiles::unlink(const std::string& path) {
  operation_.pause();
  return inner_.unlink(path);
}

Result<FileStatus> SteppedFiles::stat(const std::string& path) {
  operation_.pause();
  return inner_.stat(path);
}

Result<std::vector<std::string>> SteppedFiles::list_directory(const std::string& path) {
  operation_.pause();
  return inner_.list_directory(path);
}

}  // namespace ckpt::simulation
