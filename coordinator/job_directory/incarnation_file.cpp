#include "coordinator/job_directory/incarnation_file.hpp"

#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "format/posix/durable_file.hpp"
#include "format/posix/host_name.hpp"
#include "format/posix/try.hpp"
#include "format/tls/job_key.hpp"

namespace ckpt::coordinator {
namespace {

// Held for a moment by whoever raises. One that died lets go of it.
Result<JobLock> take_turn(const JobDirectory& directory) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(10);
  for (;;) {
    auto lock = directory.lock(JobDirectory::LockKind::incarnation);
    if (lock || lock.error().code != EWOULDBLOCK || Clock::now() > until) return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // no event to wait for
  }
}

Result<Incarnation> raise(FileSystem& files, const JobDirectory& directory, const Incarnation* mine,
                          const std::function<void(Incarnation&)>& change) {
  const auto turn = CKPT_TRY(take_turn(directory));
  auto now = read_incarnation(directory.path());
  if (!now && now.error().code != ENOENT) return Failure(now.error());
  if (mine != nullptr && now && (now->job != mine->job || now->number != mine->number)) {
    return fail("go on with the job in", directory.path(),
                "it was started anew as incarnation " + std::to_string(now->number) + " by pid " +
                    std::to_string(now->pid) + " on " + now->host,
                kSuperseded);
  }
  Incarnation next;
  if (now) {
    next = *now;
  } else {
    constexpr std::size_t kDigits = 16;
    next.job = CKPT_TRY(tls::JobKey::make()).text().substr(0, kDigits);  // a name, no secret
  }
  change(next);
  if (next.number == 0) next.number = 1;  // a coordinator by hand, before any start
  next.host = host_name();
  next.pid = ::getpid();
  CKPT_TRY(write_durably(files, directory.file(kIncarnationFile), format_incarnation(next)));
  return next;
}

}  // namespace

Result<Incarnation> raise_incarnation(FileSystem& files, const JobDirectory& directory,
                                      const Incarnation* mine) {
  return raise(files, directory, mine, [](Incarnation& next) { ++next.number; });
}

Result<Incarnation> raise_term(FileSystem& files, const JobDirectory& directory,
                               const Incarnation* mine) {
  return raise(files, directory, mine, [](Incarnation& next) { ++next.term; });
}

Status still_in_office(const JobDirectory& directory, const Incarnation& mine) {
  const Incarnation now = CKPT_TRY(read_incarnation(directory.path()));
  if (now.job == mine.job && now.number == mine.number && now.term == mine.term) return {};
  return fail("commit in", directory.path(),
              "incarnation " + std::to_string(now.number) + ", coordinator " +
                  std::to_string(now.term) + " on " + now.host +
                  " has the job; this one was incarnation " + std::to_string(mine.number) +
                  ", coordinator " + std::to_string(mine.term),
              kSuperseded);
}

}  // namespace ckpt::coordinator
