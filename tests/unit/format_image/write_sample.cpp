// Writes the sample generation for h5_tools_test.py: PATH RANKS PAGES, or with
// "linked" as the fourth argument one of two node files.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "format/image/generation_directory.hpp"
#include "format/posix/try.hpp"
#include "tests/unit/format_image/sample_generation.hpp"

namespace ckpt::image {
namespace {

Status write_linked(const std::string& path, const JobRecord& job, std::uint64_t pages) {
  FileSystem& files = linux_file_system();
  std::vector<NodeFile> nodes;
  for (std::int32_t node = 0; node < 2; ++node) {
    NodeFile file{directory_of(path) + "/" + node_file_name(job.generation, std::to_string(node)),
                  {}};
    auto writer = CKPT_TRY(GenerationWriter::create(files, file.path, job, GenerationPart::node));
    for (std::int32_t rank = node; rank < job.world_size; rank += 2) {
      CKPT_TRY(sample::write_rank(writer, rank, pages));
      file.ranks.push_back(rank);
    }
    CKPT_TRY(writer.finish());
    nodes.push_back(std::move(file));
  }
  return link_generation(files, path, job, nodes);
}

}  // namespace
}  // namespace ckpt::image

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const auto job = ckpt::image::sample::job(std::atoi(argv[2]));
  const auto pages = std::strtoull(argv[3], nullptr, 10);
  const bool linked = argc > 4 && std::strcmp(argv[4], "linked") == 0;
  const auto written =
      linked ? ckpt::image::write_linked(argv[1], job, pages)
             : ckpt::image::sample::write(ckpt::linux_file_system(), argv[1], job, pages);
  if (!written) std::fprintf(stderr, "%s\n", written.error().message().c_str());
  return written ? 0 : 1;
}
