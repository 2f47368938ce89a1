#include "coordinator/commands/requeued.hpp"

#include <chrono>
#include <thread>

#include "format/image/generation_directory.hpp"
#include "format/posix/patient_file_system.hpp"
#include "format/posix/try.hpp"

namespace ckpt::coordinator {
namespace {

using std::chrono::milliseconds;
// A node's file that another node made may be seen late.
constexpr milliseconds kPatience{10'000};
// A network file system keeps the lock of a node that died for a lease's time.
constexpr milliseconds kLease{180'000}, kLookAgain{500};

}  // namespace

Result<std::vector<std::uint64_t>> own_generations(Context& context, const JobDirectory& directory,
                                                   const std::optional<SlurmJob>& slurm) {
  std::vector<std::uint64_t> own;
  if (!slurm || slurm->restarts == 0) return own;
  const auto job = directory.read_job();
  if (!job) {
    // It got no further than making the directory.
    if (job.error().code == ENOENT) return own;
    return tl::unexpected(job.error());
  }
  if (job->slurm_job != slurm->id) return own;
  PatientFileSystem patient(context.files, kPatience);
  const auto all = CKPT_TRY(image::GenerationDirectory(patient, directory.path()).list());
  for (const image::GenerationEntry& each : all) {
    if (each.state == image::GenerationState::partial || each.number < job->first_generation) {
      continue;
    }
    own.push_back(each.number);
  }
  return own;
}

tl::expected<JobLock, int> lock_for_run(const JobDirectory& directory,
                                        const std::optional<SlurmJob>& slurm) {
  using Clock = std::chrono::steady_clock;
  const bool requeued = slurm && slurm->restarts > 0;
  const auto until = Clock::now() + (requeued ? kLease : milliseconds(0));
  for (;;) {
    auto lock = directory.lock(JobDirectory::LockKind::run);
    if (lock) return std::move(*lock);
    const bool held = lock.error().code == EWOULDBLOCK;
    if (!held || Clock::now() >= until) {
      return tl::unexpected(complain(held ? Exit::running : Exit::cannot_write, lock.error()));
    }
    std::this_thread::sleep_for(kLookAgain);  // nothing tells when a lease ends
  }
}

}  // namespace ckpt::coordinator
