// The kernel's file system behind the interface.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "format/posix/file_system.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt {
namespace {

class LinuxFileSystemTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(path_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

  std::string path_ = std::filesystem::temp_directory_path().string() + "/ckpt-test-XXXXXX";
  FileSystem& files_ = linux_file_system();
};

TEST_F(LinuxFileSystemTest, FilesReadWriteAndClose) {
  const std::string path = *this / "file";
  auto file = files_.open(path, O_RDWR | O_CREAT | O_EXCL);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_NE(::fcntl((*file)->descriptor(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_TRUE((*file)->pwrite("0123456789", 10, 5));
  ASSERT_TRUE((*file)->fsync());
  char buffer[32] = {};
  EXPECT_EQ(*(*file)->pread(buffer, sizeof buffer, 12), 3u);
  EXPECT_STREQ(buffer, "789");
  EXPECT_EQ(*(*file)->pread(buffer, sizeof buffer, 100), 0u);
  ASSERT_TRUE((*file)->truncate(7));
  const auto status = (*file)->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->size, 7u);
  EXPECT_EQ(status->mode, 0600u);
  EXPECT_TRUE(status->regular);
  EXPECT_EQ(status->inode, files_.stat(path)->inode);
  const int fd = (*file)->descriptor();
  file->reset();
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_F(LinuxFileSystemTest, ErrorsNameOperationAndPath) {
  const std::string path = *this / "none";
  EXPECT_EQ(files_.open(path, O_RDONLY).error().message(),
            "open " + path + ": No such file or directory");
  EXPECT_EQ(files_.unlink(path).error().code, ENOENT);
  EXPECT_EQ(files_.stat(path).error().code, ENOENT);
  EXPECT_EQ(files_.list_directory(path).error().code, ENOENT);
  EXPECT_EQ(files_.fsync_directory(path).error().code, ENOENT);
  EXPECT_EQ(files_.mkdir(path_, 0700).error().code, EEXIST);
  const auto renamed = files_.rename(path, path + "2");
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().subject, path + " to " + path + "2");
  const auto read_only = files_.open(*this / "read-only", O_RDONLY | O_CREAT);
  ASSERT_TRUE(read_only);
  EXPECT_EQ((*read_only)->pwrite("x", 1, 0).error().code, EBADF);
}

TEST_F(LinuxFileSystemTest, FullDisk) {
  const auto full = files_.open("/dev/full", O_WRONLY);
  ASSERT_TRUE(full);
  const auto written = (*full)->pwrite("x", 1, 0);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message(), "pwrite /dev/full: No space left on device");
}

// Whether the file system can do it or not: what cannot go directly goes otherwise.
TEST_F(LinuxFileSystemTest, DirectTransfersAreAWish) {
  const auto file = files_.open(*this / "direct", O_RDWR | O_CREAT | O_DIRECT);
  ASSERT_TRUE(file) << file.error().message();
  alignas(4096) static char bytes[3 * 4096];
  std::memset(bytes, 'a', sizeof bytes);
  ASSERT_TRUE((*file)->pwrite(bytes, 2 * 4096, 4096));
  ASSERT_TRUE((*file)->pwrite(bytes + 1, 100, 5)) << "not aligned";
  ASSERT_TRUE((*file)->pwrite(bytes, 4096, 3 * 4096));
  std::string expected(4 * 4096, 'a');
  expected.replace(0, 5, 5, '\0').replace(105, 4096 - 105, 4096 - 105, '\0');
  std::string found(expected.size() + 1, 'x');
  ASSERT_EQ(*(*file)->pread(found.data(), found.size(), 0), expected.size());
  found.pop_back();
  EXPECT_EQ(found, expected);
}

TEST_F(LinuxFileSystemTest, DirectoriesAreListedSorted) {
  for (const char* name : {"b", "a", ".hidden"}) {
    ASSERT_TRUE(files_.open(*this / name, O_WRONLY | O_CREAT));
  }
  ASSERT_TRUE(files_.mkdir(*this / "c", 0700));
  EXPECT_EQ(*files_.list_directory(path_), (std::vector<std::string>{".hidden", "a", "b", "c"}));
  EXPECT_TRUE(files_.fsync_directory(path_));
  EXPECT_GT(*files_.free_bytes(path_), 0u);
}

TEST(PathNames, DirectoryAndBase) {
  EXPECT_EQ(directory_of("/a/b/c"), "/a/b");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(directory_of("a"), ".");
  EXPECT_EQ(base_name_of("/a/b/c"), "c");
  EXPECT_EQ(base_name_of("c"), "c");
}

TEST(UniqueFd, ClosesOnce) {
  int raw = -1;
  {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(fd);
    raw = fd.get();
    UniqueFd other(std::move(fd));
    EXPECT_FALSE(fd.valid());
    EXPECT_EQ(other.get(), raw);
    fd = std::move(other);
    EXPECT_EQ(fd.get(), raw);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

}  // namespace
}  // namespace ckpt
