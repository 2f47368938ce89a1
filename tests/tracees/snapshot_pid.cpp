// ckpt-snapshot-pid PID OUT.h5 [--no-fork] [--skip-descriptors]
//
// Snapshots one process that is no MPI rank into a generation file of one rank,
// for the development and tests of snapshot and restore.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "agent/snapshot/node_snapshot.hpp"

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int complain(const ckpt::Error& error) {
  std::fprintf(stderr, "ckpt-snapshot-pid: %s\n", error.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: ckpt-snapshot-pid PID OUT.h5 [--no-fork] [--skip-descriptors]\n");
    return 2;
  }
  ckpt::snapshot::RankRequest request;
  request.rank = 0;
  request.pid = std::atoi(argv[1]);
  for (int i = 3; i < argc; ++i) {
    if (std::strcmp(argv[i], "--no-fork") == 0) request.fork_allowed = false;
    if (std::strcmp(argv[i], "--skip-descriptors") == 0) request.skip_unsupported = true;
  }
  const std::string path = argv[2], partial = path + ".partial";
  ckpt::image::JobRecord job;
  job.job = "snapshot-pid";
  job.command = {"pid", argv[1]};
  job.cwd = "/";
  job.world_size = 1;
  job.generation = 1;
  job.taken_at_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  job.program_version = "0";

  ckpt::snapshot::NodeSnapshot snapshot({request});
  const auto frozen = snapshot.freeze();
  if (!frozen) return complain(frozen.error().error);
  const ckpt::snapshot::RankFrozen& rank = frozen->front();
  std::printf(
      "frozen_us=%.1f threads=%zu regions=%zu bytes<=%llu%s%s\n",
      static_cast<double>(rank.frozen_ns) / 1e3, rank.threads, rank.regions,
      static_cast<unsigned long long>(snapshot.upper_bytes()),
      rank.fork_failure.empty() ? "" : " copied while stopped: ", rank.fork_failure.c_str());
  const double start = seconds();
  ckpt::FileSystem& files = ckpt::linux_file_system();
  auto writer = ckpt::image::GenerationWriter::create(files, partial, job);
  if (!writer) return complain(writer.error());
  if (auto done = snapshot.write(*writer); !done) return complain(done.error().error);
  const double streamed = seconds();
  if (auto done = writer->finish(); !done) return complain(done.error());
  if (auto done = ckpt::image::commit_generation(files, partial, path); !done)
    return complain(done.error());
  std::printf("streamed_s=%.3f committed_s=%.3f\n", streamed - start, seconds() - start);
  return 0;
}
