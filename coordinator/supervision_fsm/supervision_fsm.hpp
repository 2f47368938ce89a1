// What becomes of a job that ended: --max-restarts.
//
// Purpose: decides whether an end was a failure (job_ends.def), from which
//   generation to go on, which nodes to avoid, when a generation is no longer
//   tried, when to give up and what to report; and when an mpirun that hangs in
//   a cut network is to be ended. step(event) -> actions; `run` carries them out.
// Ownership: a value. Threads: one caller. No sockets, clocks, files: times are
//   told with the events, deadlines come in as events.
// Units: seconds; generations by number.
// Errors: none; what cannot go on ends in Finish with a report.
// Source: issue of the failures of a cluster; coordinator/README.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace ckpt::coordinator {

enum class JobEnd : std::uint8_t {
#define CKPT_JOB_END(name, restarted, when, words) name,
#include "coordinator/supervision_fsm/job_ends.def"
#undef CKPT_JOB_END
};
const char* job_end_words(JobEnd end);
bool is_failure(JobEnd end);

struct EndFacts {
  int wait_status = 0;       // of mpirun
  bool asked = false;        // somebody ended it through us
  bool node_lost = false;    // our own liveness said so
  bool restarted = false;    // this start was from a generation
  bool all_present = false;  // all ranks were there (and rebuilt) at some time
};
JobEnd classify(const EndFacts& facts);

// The generations a job may go on from: what the directory has of other runs, and
// of the time after a generation that the user went back to, are not its own.
struct Lineage {
  std::uint64_t first_own = 0;  // this one and newer ones: 0 for all
  std::uint64_t named = 0;      // and this older one
  bool image = false;           // and the file outside of the directory: "generation 0"
  bool holds(std::uint64_t generation) const {
    return generation == 0 ? image : generation >= first_own || generation == named;
  }
};

struct SupervisionOptions {
  std::uint64_t max_restarts = 0;
  Lineage lineage;
};

// One that failed within this time, and committed nothing, failed "right after".
inline constexpr double kQuickFailure_s = 60;
// After so many restarts that failed right after, a generation is tried no more.
inline constexpr std::uint32_t kTriesPerGeneration = 2;

// ---- events

struct AttemptStarted {
  std::uint64_t generation = 0;  // 0: from the beginning, or the image outside
  std::uint64_t newest = 0;      // there is, good or not: higher ones are this start's own
};
struct NodeLost {
  std::string node, reason;
  bool with_ranks = false;
};
struct EndDeadline {};  // mpirun has not ended although it was told to
struct AttemptEnded {
  EndFacts facts;
  std::string how;                  // "mpirun exited with 139"
  double ran_s = 0;                 // since all ranks were present; 0: they never were
  double lasted_s = 0;              // since mpirun was started
  std::string damage;               // of the generation it was started from; empty: none found
  std::vector<std::uint64_t> good;  // generations to go on from, newest first
};
using SupervisionEvent = std::variant<AttemptStarted, NodeLost, EndDeadline, AttemptEnded>;

// ---- actions

struct EndMpirun {
  bool kill = false;  // SIGKILL; else SIGTERM, and feed EndDeadline after a while
  std::string reason;
};
struct MarkGeneration {
  std::uint64_t generation = 0;
  std::string cause;
};
struct Restart {
  std::uint64_t generation = 0;
  std::uint64_t number = 0;  // of this restart, from 1
  std::string reason;
};
struct Finish {  // with the status of the last mpirun
  bool gave_up = false;
  bool node_lost = false;           // it failed because a node with ranks went
  std::vector<std::string> report;  // lines; empty when there is nothing to tell
};
using SupervisionAction = std::variant<EndMpirun, MarkGeneration, Restart, Finish>;
using SupervisionActions = std::vector<SupervisionAction>;

class SupervisionFsm {
 public:
  explicit SupervisionFsm(SupervisionOptions options) : options_(options) {}
  SupervisionActions step(const SupervisionEvent& event);

  struct Attempt {
    std::uint64_t generation = 0;
    double lasted_s = 0, ran_s = 0;
    std::string how;
    JobEnd end = JobEnd::good;
  };
  const std::vector<Attempt>& attempts() const { return attempts_; }
  const std::set<std::string>& lost_nodes() const { return lost_nodes_; }

 private:
  void on(const AttemptStarted& event, SupervisionActions& actions);
  void on(const NodeLost& event, SupervisionActions& actions);
  void on(const EndDeadline& event, SupervisionActions& actions);
  void on(const AttemptEnded& event, SupervisionActions& actions);
  void judge_generation(const AttemptEnded& event, SupervisionActions& actions);
  std::optional<std::uint64_t> next_generation(const std::vector<std::uint64_t>& good) const;
  void give_up(const std::string& why, SupervisionActions& actions) const;

  SupervisionOptions options_;
  bool running_ = false, told_to_end_ = false;
  std::uint64_t generation_ = 0, newest_ = 0;  // of the attempt under way
  std::uint64_t restarts_ = 0;
  std::string lost_reason_;  // of the attempt under way
  std::set<std::string> lost_nodes_;
  std::map<std::uint64_t, std::uint32_t> quick_failures_;
  std::set<std::uint64_t> passed_over_;
  std::vector<Attempt> attempts_;
};

}  // namespace ckpt::coordinator
