// One generation or node file, opened for reading and known to be ours, whole
// and finished; and the making of a new one. Shared by reader, writer, linker.
//
// Ownership: owns the HDF5 file. Threads: under hdf5::Session, the destructor
// too. Errors: see generation_reader.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "format/image/generation_writer.hpp"
#include "format/image/hdf5/file_driver.hpp"
#include "format/image/hdf5/handle.hpp"
#include "format/image/model.hpp"

namespace ckpt::image {

// A link in /ranks: to a group here, or into a node's file.
struct RankLink {
  std::int32_t rank = 0;
  std::string file;  // "" = this one
};

struct GenerationFile {
  explicit GenerationFile(FileSystem& files) : opened(files) {}
  ~GenerationFile() { close(); }
  GenerationFile(const GenerationFile&) = delete;
  GenerationFile& operator=(const GenerationFile&) = delete;

  // Lets HDF5 write what it still holds; `opened.error` says if that failed.
  Status close();

  hdf5::OpenedFile opened;
  hdf5::Handle file;
  hdf5::Handle ranks;  // the group
  std::string path;
  std::uint64_t size = 0;
  GenerationPart part = GenerationPart::whole;
  JobRecord job;
  std::vector<RankLink> links;  // ascending
};

Result<std::unique_ptr<GenerationFile>> open_generation_file(FileSystem& files,
                                                             const std::string& path);

// A new file with its root attributes (not complete yet), /job and /ranks.
Result<std::unique_ptr<GenerationFile>> create_generation_file(FileSystem& files,
                                                               const std::string& path,
                                                               const JobRecord& job,
                                                               GenerationPart part);

// Marks it complete, closes it, fsync.
Status finish_generation_file(GenerationFile& generation);

// Closes it without writing any more, and unlinks it.
void discard_generation_file(GenerationFile& generation);

}  // namespace ckpt::image
