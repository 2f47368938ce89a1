// A generation with something in every field, for the tests of format/image.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "format/image/generation_reader.hpp"
#include "format/image/generation_writer.hpp"
#include "format/image/model.hpp"
#include "format/posix/file_system.hpp"

namespace ckpt::image::sample {

JobRecord job(std::int32_t world_size = 1, std::uint64_t generation = 12);

// Deterministic; every field differs from its default and from rank to rank.
RankImage rank(std::int32_t number, std::uint64_t payload_pages);

// The bytes of a rank's page.
std::vector<std::uint8_t> payload(std::int32_t rank, std::uint64_t pages);
std::vector<std::uint64_t> checksums(const std::vector<std::uint8_t>& payload);

// Creates, fills and finishes a whole file at `path`.
Status write(FileSystem& files, const std::string& path, const JobRecord& job,
             std::uint64_t pages_per_rank);
// One rank of a writer that the test made.
Status write_rank(GenerationWriter& writer, std::int32_t number, std::uint64_t pages);

// Compares all fields; payload_file and payload_offset are the caller's.
void expect_same(const RankImage& expected, const RankImage& actual);
void expect_same(const JobRecord& expected, const JobRecord& actual);

// A directory that goes with the test.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = "");
  ~TemporaryDirectory();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<std::uint8_t> read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::vector<std::uint8_t>& bytes);

}  // namespace ckpt::image::sample
