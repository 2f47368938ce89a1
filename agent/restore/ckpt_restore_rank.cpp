// ckpt-restore-rank: what mpirun starts in a rank's place at a restart.
#include <limits.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/restore/rank_restore.hpp"
#include "agent/restorer/restore_plan.h"
#include "format/posix/cache_directory.hpp"
#include "format/wire/restart_progress.h"

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string own_directory() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return ".";
  const std::string whole(path, static_cast<std::size_t>(length));
  return whole.substr(0, whole.rfind('/'));
}

int complain(int rank, const ckpt::Error& error, int exit_code) {
  std::fprintf(stderr, "ckpt-restore-rank: ");
  if (rank >= 0) std::fprintf(stderr, "rank %d: ", rank);
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Becomes one rank of a checkpointed job. Started by mpirun at `ckpt-coord restart`.");
  std::string image;
  int rank = -1;
  bool accept_changed_files = !environment("CKPT_ACCEPT_CHANGED_FILES").empty();
  app.add_option("--image", image, "generation file (default: $CKPT_RESTART_IMAGE)");
  app.add_option("--rank", rank,
                 "rank in MPI_COMM_WORLD (default: $PMIX_RANK, $OMPI_COMM_WORLD_RANK)");
  app.add_flag("--accept-changed-files", accept_changed_files,
               "map program files though their modification time differs from the checkpoint's");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : CKPT_RESTORE_EXIT_USAGE;
  }
  auto identity = ckpt::restore::find_identity(image, rank);
  if (!identity) return complain(rank, identity.error(), CKPT_RESTORE_EXIT_USAGE);
  ckpt::restore::RestoreOptions options;
  options.identity = *identity;
  options.parts_dir = own_directory();
  options.cache_dir = ckpt::cache_directory();
  options.agent_socket = environment("CKPT_AGENT_SOCKET");
  const std::string job = environment("CKPT_JOB_DIR");
  if (!job.empty()) options.progress_file = job + "/" CKPT_RESTART_PROGRESS_FILE;
  options.fault_stage = environment("CKPT_FAULT");
  options.accept_changed_files = accept_changed_files;
  const auto failure = ckpt::restore::restore_rank(options);
  return complain(identity->rank, failure.error, failure.exit_code);
}
