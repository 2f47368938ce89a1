// Shared memory that has no name any more: MAP_SHARED|MAP_ANONYMOUS, memfd,
// deleted files.
//
// Purpose: one memory object for all regions of the same (device, inode). A
//   deleted file of /dev/shm is most likely shared with other ranks: its ranks
//   meet under a name of this restart, which goes once all have mapped it.
// Ownership: descriptors are parked. Threads: one.
// Errors: memfd_create, open or ftruncate, with the region's path.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/restore/parked_files.hpp"
#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

class SharedMemory {
 public:
  SharedMemory(const image::RankImage& image, std::string sharing_token, ParkedFiles& files);

  Result<int> descriptor_for(const image::Region& region);

  // Names under which ranks met, to be removed once MPI_Init has returned.
  const std::vector<std::string>& names_to_remove() const { return names_; }

 private:
  using Identity = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

  Result<int> make(const image::Region& region, std::uint64_t size);
  Result<int> meet(const image::Region& region);

  std::string token_;
  ParkedFiles& files_;
  std::map<Identity, std::uint64_t> sizes_;
  std::map<Identity, int> made_;
  std::vector<std::string> names_;
};

}  // namespace ckpt::restore
