// WriteQueue: what was put is in the file, or the first failure is told.
#include "agent/pages/write_queue.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/fakes/fake_file_system.hpp"

namespace ckpt {
namespace {

using pages::WriteQueue;

constexpr std::size_t kSize = 64 << 10;

struct WriteQueueTest : testing::Test {
  std::string directory = std::filesystem::temp_directory_path().string() + "/ckpt-queue-XXXXXX";
  void SetUp() override { ASSERT_NE(::mkdtemp(directory.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(directory); }

  // Puts so many buffers of which each byte tells the buffer's number.
  static Status put(File& file, std::uint64_t offset, const std::vector<std::size_t>& sizes) {
    WriteQueue queue(file, offset, kSize, 3);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      WriteQueue::Buffer* const buffer = queue.take();
      if (buffer == nullptr) break;
      std::memset(buffer->bytes.get(), static_cast<int>('a' + i), sizes[i]);
      buffer->used = sizes[i];
      queue.put(buffer);
    }
    return queue.finish();
  }
  static void expect(File& file, std::uint64_t offset, const std::vector<std::size_t>& sizes) {
    std::string wanted(offset, '\0');
    for (std::size_t i = 0; i < sizes.size(); ++i)
      wanted.append(sizes[i], static_cast<char>('a' + i));
    std::string found(wanted.size() + 1, 'x');
    EXPECT_EQ(file.pread(found.data(), found.size(), 0), wanted.size());
    found.pop_back();
    EXPECT_EQ(found, wanted);
  }
};

TEST_F(WriteQueueTest, BuffersFollowEachOther) {
  const std::vector<std::size_t> sizes = {kSize, 4096, 0, kSize, kSize, 8192, kSize, kSize, 4096};
  for (const int direct : {0, O_DIRECT}) {
    const auto file = linux_file_system().open(directory + "/" + std::to_string(direct),
                                               O_RDWR | O_CREAT | direct);
    ASSERT_TRUE(file);
    ASSERT_TRUE(put(**file, 8192, sizes));
    expect(**file, 8192, sizes);
  }
}

TEST_F(WriteQueueTest, WhatCannotGoDirectlyGoesOtherwise) {
  const auto file = linux_file_system().open(directory + "/odd", O_RDWR | O_CREAT | O_DIRECT);
  ASSERT_TRUE(file);
  const std::vector<std::size_t> sizes = {kSize, 100, kSize, kSize, 7};
  ASSERT_TRUE(put(**file, 0, sizes));
  expect(**file, 0, sizes);
}

TEST_F(WriteQueueTest, AFileWithoutDescriptor) {
  fakes::FakeFileSystem files;
  const auto file = files.open("/file", O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(file);
  ASSERT_TRUE(put(**file, 0, {kSize, kSize, 5}));
  expect(**file, 0, {kSize, kSize, 5});
}

TEST_F(WriteQueueTest, TheFirstFailureIsTold) {
  const auto full = linux_file_system().open("/dev/full", O_WRONLY);
  ASSERT_TRUE(full);
  const Status status = put(**full, 0, {kSize, kSize, kSize, kSize, kSize});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message(), "pwrite /dev/full: No space left on device");
}

}  // namespace
}  // namespace ckpt
