#include "agent/relay/own_process.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"

namespace ckpt::relay {
namespace {

constexpr std::size_t kMostCpus = 65536;

// A rank is bound to its core, but the user's processes it descends from (orted,
// mpirun, a shell) to all the job may use here; and it may be their script's. Where
// none of them is the user's (srun), all is asked for: the step's cpuset bounds it.
void use_processors_of_ancestors(int pid) {
  constexpr int kFurthest = 6;
  std::vector<unsigned char> all(kMostCpus / 8), one(kMostCpus / 8);
  int known = 0;
  for (int i = 0; i < kFurthest && pid > 1; ++i) {
    const auto status = proc::read_whole(proc::path_of(pid, "status"));
    const auto facts =
        status ? proc::parse_status(*status) : Result<proc::StatusFacts>(Failure(status.error()));
    if (!facts || facts->uid != ::geteuid()) break;
    const long got = ::syscall(SYS_sched_getaffinity, pid, one.size(), one.data());
    if (got > 0) {
      ++known;
      std::transform(one.begin(), one.begin() + got, all.begin(), all.begin(),
                     [](unsigned char a, unsigned char b) { return a | b; });
    }
    const auto text = proc::read_whole(proc::path_of(pid, "stat"));
    const auto stat = text ? proc::parse_stat(*text) : Result<proc::Stat>(Failure(text.error()));
    if (!stat) break;
    pid = stat->parent;
  }
  if (known == 1) std::fill(all.begin(), all.end(), 0xff);
  if (known > 0) ::sched_setaffinity(0, all.size(), reinterpret_cast<const cpu_set_t*>(all.data()));
  ::syscall(SYS_set_mempolicy, 0 /* MPOL_DEFAULT */, nullptr, 0);
}

void raise_limits() {
  for (const auto which : {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_NOFILE}) {
    rlimit limit{};
    if (::getrlimit(which, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(which, &limit);
  }
}

}  // namespace

void leave_the_rank(int rank_pid) {
  ::umask(077);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too large is an error, not the end
  const sched_param ordinary{};
  ::sched_setscheduler(0, SCHED_OTHER, &ordinary);
  static_cast<void>(!::chdir("/"));  // whatever it is, it only keeps a mount busy
  use_processors_of_ancestors(rank_pid);
  raise_limits();
}

}  // namespace ckpt::relay
