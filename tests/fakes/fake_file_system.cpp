#include "tests/fakes/fake_file_system.hpp"

#include <algorithm>
#include <cstring>

#include "format/posix/try.hpp"

namespace ckpt::fakes {

struct FakeFileSystem::Node {
  struct Change {
    bool truncation = false;
    std::uint64_t offset = 0;  // of the bytes, or the new size
    std::vector<std::uint8_t> bytes;
  };

  bool directory = false;
  std::uint32_t mode = 0;
  std::uint64_t inode = 0;
  std::vector<std::uint8_t> content, durable;
  std::vector<Change> pending;

  static void apply(const Change& change, std::vector<std::uint8_t>& content) {
    if (change.truncation) {
      content.resize(change.offset);
      return;
    }
    content.resize(std::max<std::size_t>(content.size(), change.offset + change.bytes.size()));
    std::copy(change.bytes.begin(), change.bytes.end(),
              content.begin() + static_cast<std::ptrdiff_t>(change.offset));
  }
};

class FakeFile final : public File {
 public:
  FakeFile(FakeFileSystem& files, std::shared_ptr<FakeFileSystem::Node> node, std::string path)
      : files_(files), node_(std::move(node)), path_(std::move(path)) {}

  Result<std::size_t> pread(void* buffer, std::size_t size, std::uint64_t offset) override {
    const std::lock_guard lock(files_.mutex_);
    if (files_.power_cut_ && files_.steps_ > *files_.power_cut_) {
      return fail_errno("pread", path_, EIO);
    }
    if (offset >= node_->content.size()) return std::size_t{0};
    const auto got = std::min<std::size_t>(size, node_->content.size() - offset);
    std::memcpy(buffer, node_->content.data() + offset, got);
    return got;
  }

  Status pwrite(const void* bytes, std::size_t size, std::uint64_t offset) override {
    const std::lock_guard lock(files_.mutex_);
    CKPT_TRY(files_.step("pwrite", path_));
    const auto* from = static_cast<const std::uint8_t*>(bytes);
    if (!has_room(offset + size)) return fail_errno("pwrite", path_, ENOSPC);
    return change({false, offset, {from, from + size}});
  }

  Status truncate(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    CKPT_TRY(files_.step("ftruncate", path_));
    if (!has_room(size)) return fail_errno("ftruncate", path_, ENOSPC);
    return change({true, size, {}});
  }

  Status fsync() override {
    const std::lock_guard lock(files_.mutex_);
    CKPT_TRY(files_.step("fsync", path_));
    node_->durable = node_->content;
    node_->pending.clear();
    return {};
  }

  Result<FileStatus> status() override {
    const std::lock_guard lock(files_.mutex_);
    return status_of(*node_);
  }

  int descriptor() const override { return -1; }
  const std::string& path() const override { return path_; }

  static FileStatus status_of(const FakeFileSystem::Node& node) {
    FileStatus status;
    status.directory = node.directory;
    status.regular = !node.directory;
    status.size = node.content.size();
    status.device = 1;
    status.inode = node.inode;
    status.mode = node.mode;
    return status;
  }

 private:
  bool has_room(std::uint64_t size) const {
    return size <= node_->content.size() ||
           files_.used() + (size - node_->content.size()) <= files_.capacity_;
  }
  Status change(FakeFileSystem::Node::Change change) {
    FakeFileSystem::Node::apply(change, node_->content);
    node_->pending.push_back(std::move(change));
    return {};
  }

  FakeFileSystem& files_;
  std::shared_ptr<FakeFileSystem::Node> node_;
  std::string path_;
};

FakeFileSystem::FakeFileSystem() {
  auto root = std::make_shared<Node>();
  root->directory = true;
  names_["/"] = root;
  durable_names_ = names_;
}

void FakeFileSystem::fail_step(std::uint64_t step, int error) { failing_ = {step, error}; }
void FakeFileSystem::cut_power_at(std::uint64_t step) { power_cut_ = step; }
void FakeFileSystem::set_capacity(std::uint64_t bytes) { capacity_ = bytes; }

std::uint64_t FakeFileSystem::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

Status FakeFileSystem::step(const char* operation, const std::string& subject) {
  const std::uint64_t number = steps_++;
  if (power_cut_ && number >= *power_cut_) return fail_errno(operation, subject, EIO);
  if (failing_ && number == failing_->first)
    return fail_errno(operation, subject, failing_->second);
  return {};
}

std::uint64_t FakeFileSystem::used() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, node] : names_) bytes += node->content.size();
  return bytes;
}

void FakeFileSystem::apply(const NameChange& change, Names& names) {
  if (!change.removed.empty()) names.erase(change.removed);
  if (!change.added.empty()) names[change.added] = change.node;
}

void FakeFileSystem::change_names(NameChange change) {
  apply(change, names_);
  pending_.push_back(std::move(change));
}

std::unique_ptr<FakeFileSystem> FakeFileSystem::after_power_cut(Survival survival) const {
  const std::lock_guard lock(mutex_);
  auto after = std::make_unique<FakeFileSystem>();
  Names names = durable_names_;
  std::size_t surviving = 0;
  if (survival == Survival::everything || survival == Survival::some_b) surviving = pending_.size();
  if (survival == Survival::some_a) surviving = (pending_.size() + 1) / 2;
  for (std::size_t i = 0; i < surviving; ++i) apply(pending_[i], names);
  for (const auto& [name, node] : names) {
    auto found = std::make_shared<Node>();
    found->directory = node->directory;
    found->mode = node->mode;
    found->content = node->durable;
    for (std::size_t i = 0; i < node->pending.size(); ++i) {
      const bool half = (i * 2654435761u >> 7) % 2 == 0;
      const bool kept = survival == Survival::everything ||
                        (survival == Survival::some_a && half) ||
                        (survival == Survival::some_b && !half);
      if (kept) Node::apply(node->pending[i], found->content);
    }
    found->durable = found->content;
    found->inode = after->next_inode_++;
    after->names_[name] = found;
  }
  after->durable_names_ = after->names_;
  return after;
}

Result<std::unique_ptr<File>> FakeFileSystem::open(const std::string& path, int flags,
                                                   std::uint32_t mode) {
  const std::lock_guard lock(mutex_);
  auto entry = names_.find(path);
  if (entry == names_.end()) {
    if ((flags & O_CREAT) == 0) return fail_errno("open", path, ENOENT);
    const auto parent = names_.find(directory_of(path));
    if (parent == names_.end() || !parent->second->directory) {
      return fail_errno("open", path, ENOENT);
    }
    CKPT_TRY(step("open", path));
    auto node = std::make_shared<Node>();
    node->mode = mode;
    node->inode = next_inode_++;
    change_names({"", path, node});
    return std::make_unique<FakeFile>(*this, node, path);
  }
  if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return fail_errno("open", path, EEXIST);
  if ((flags & O_TRUNC) != 0) {
    CKPT_TRY(step("open", path));
    entry->second->content.clear();
    entry->second->pending.push_back({true, 0, {}});
  }
  return std::make_unique<FakeFile>(*this, entry->second, path);
}

Status FakeFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  CKPT_TRY(step("rename", from + " to " + to));
  const auto entry = names_.find(from);
  if (entry == names_.end()) return fail_errno("rename", from + " to " + to, ENOENT);
  change_names({from, to, entry->second});
  return {};
}

Status FakeFileSystem::unlink(const std::string& path) {
  const std::lock_guard lock(mutex_);
  CKPT_TRY(step("unlink", path));
  if (names_.count(path) == 0) return fail_errno("unlink", path, ENOENT);
  change_names({path, "", nullptr});
  return {};
}

Status FakeFileSystem::mkdir(const std::string& path, std::uint32_t mode) {
  const std::lock_guard lock(mutex_);
  if (names_.count(path) != 0) return fail_errno("mkdir", path, EEXIST);
  if (names_.count(directory_of(path)) == 0) return fail_errno("mkdir", path, ENOENT);
  CKPT_TRY(step("mkdir", path));
  auto node = std::make_shared<Node>();
  node->directory = true;
  node->mode = mode;
  node->inode = next_inode_++;
  change_names({"", path, node});
  return {};
}

Status FakeFileSystem::fsync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  CKPT_TRY(step("fsync directory", path));
  if (names_.count(path) == 0) return fail_errno("open", path, ENOENT);
  // A journal: what was changed before in other directories is durable as well
  // at best, and not relied upon: only this directory's changes are kept.
  std::vector<NameChange> rest;
  for (auto& change : pending_) {
    const std::string& name = change.added.empty() ? change.removed : change.added;
    if (directory_of(name) == path) {
      apply(change, durable_names_);
    } else {
      rest.push_back(std::move(change));
    }
  }
  pending_ = std::move(rest);
  return {};
}

Result<FileStatus> FakeFileSystem::stat(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto entry = names_.find(path);
  if (entry == names_.end()) return fail_errno("stat", path, ENOENT);
  return FakeFile::status_of(*entry->second);
}

Result<std::vector<std::string>> FakeFileSystem::list_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto entry = names_.find(path);
  if (entry == names_.end()) return fail_errno("opendir", path, ENOENT);
  std::vector<std::string> found;
  for (const auto& [name, node] : names_) {
    if (name != path && directory_of(name) == path) found.push_back(base_name_of(name));
  }
  return found;
}

Result<std::uint64_t> FakeFileSystem::free_bytes(const std::string&) {
  const std::lock_guard lock(mutex_);
  return capacity_ - std::min(capacity_, used());
}

}  // namespace ckpt::fakes
