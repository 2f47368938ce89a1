// link_generation: a generation whose ranks lie in the nodes' files.
#include <fmt/format.h>

#include "format/image/generation_file.hpp"
#include "format/image/generation_writer.hpp"
#include "format/image/hdf5/dataset.hpp"
#include "format/image/payload.hpp"
#include "format/image/schema.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

// A node's file must be finished, of this job and generation, and hold its
// ranks: a generation that cannot be read must not become visible.
Status check_node(FileSystem& files, const NodeFile& node, const JobRecord& job) {
  const auto file = CKPT_TRY(open_generation_file(files, node.path));
  if (file->job.job != job.job || file->job.generation != job.generation ||
      file->job.world_size != job.world_size) {
    return fail("link", node.path,
                fmt::format("it is of job {} generation {} with {} ranks", file->job.job,
                            file->job.generation, file->job.world_size));
  }
  for (const std::int32_t rank : node.ranks) {
    bool found = false;
    for (const RankLink& link : file->links)
      found = found || (link.rank == rank && link.file.empty());
    if (!found) return fail("link", node.path, fmt::format("it does not hold rank {}", rank));
  }
  return {};
}

Status check_ranks(const std::string& path, const JobRecord& job,
                   const std::vector<NodeFile>& nodes) {
  std::vector<bool> named(static_cast<std::size_t>(std::max(job.world_size, 0)));
  for (const NodeFile& node : nodes) {
    for (const std::int32_t rank : node.ranks) {
      const auto index = static_cast<std::size_t>(rank);
      if (rank < 0 || index >= named.size() || named[index]) {
        return fail("link", path, fmt::format("rank {} of {} is not there once", rank, node.path));
      }
      named[index] = true;
    }
  }
  for (std::size_t rank = 0; rank < named.size(); ++rank) {
    if (!named[rank]) return fail("link", path, fmt::format("no node holds rank {}", rank));
  }
  return {};
}

Status write_links(GenerationFile& generation, const std::vector<NodeFile>& nodes) {
  for (const NodeFile& node : nodes) {
    const bool beside = directory_of(node.path) == directory_of(generation.path);
    const std::string target = beside ? base_name_of(node.path) : node.path;
    for (const std::int32_t rank : node.ranks) {
      const std::string name = rank_group_name(rank);
      const std::string object = fmt::format("/{}/{}", schema::kRanksGroup, name);
      CKPT_TRY(
          hdf5::check(H5Lcreate_external(target.c_str(), object.c_str(), generation.ranks.get(),
                                         name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                      "create link", object));
    }
  }
  return {};
}

}  // namespace

Status link_generation(FileSystem& files, const std::string& partial_path, const JobRecord& job,
                       const std::vector<NodeFile>& nodes) {
  const hdf5::Session session;
  CKPT_TRY(check_ranks(partial_path, job, nodes));
  for (const NodeFile& node : nodes) CKPT_TRY(check_node(files, node, job));
  const auto generation =
      CKPT_TRY(create_generation_file(files, partial_path, job, GenerationPart::whole));
  Status step = write_links(*generation, nodes);
  if (step) step = finish_generation_file(*generation);
  if (!step) discard_generation_file(*generation);
  return step;
}

}  // namespace ckpt::image
