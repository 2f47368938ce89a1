#include "coordinator/supervision_fsm/supervision_fsm.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>

namespace ckpt::coordinator {
namespace {

struct EndRow {
  const char* words;
  bool restarted;
};
constexpr bool yes = true, no = false;
constexpr std::array kEnds = {
#define CKPT_JOB_END(name, restarted, when, words) EndRow{words, restarted},
#include "coordinator/supervision_fsm/job_ends.def"
#undef CKPT_JOB_END
};

std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", value);
  return text;
}

std::string origin(std::uint64_t generation) {
  return generation == 0 ? "from the beginning" : "from generation " + std::to_string(generation);
}

}  // namespace

const char* job_end_words(JobEnd end) { return kEnds[static_cast<std::size_t>(end)].words; }
bool is_failure(JobEnd end) { return kEnds[static_cast<std::size_t>(end)].restarted; }

JobEnd classify(const EndFacts& facts) {
  constexpr int kOfSignals = 128;
  if (facts.asked) return JobEnd::asked;
  if (facts.node_lost) return JobEnd::node_lost;
  if (facts.wait_status == 0) return JobEnd::good;
  if (WIFSIGNALED(facts.wait_status)) return JobEnd::mpirun_killed;
  if (WEXITSTATUS(facts.wait_status) >= kOfSignals) return JobEnd::crashed;
  if (facts.restarted && !facts.all_present) return JobEnd::not_restored;
  return JobEnd::own_exit;
}

SupervisionActions SupervisionFsm::step(const SupervisionEvent& event) {
  SupervisionActions actions;
  std::visit([&](const auto& one) { on(one, actions); }, event);
  return actions;
}

void SupervisionFsm::on(const AttemptStarted& event, SupervisionActions&) {
  running_ = true;
  told_to_end_ = false;
  generation_ = event.generation;
  newest_ = event.newest;
  lost_reason_.clear();
}

void SupervisionFsm::on(const NodeLost& event, SupervisionActions& actions) {
  if (!running_) return;
  lost_nodes_.insert(event.node);
  if (!event.with_ranks) return;
  if (lost_reason_.empty()) lost_reason_ = "node " + event.node + ": " + event.reason;
  // Without restarts nobody is the better for it: the job may be one that copes.
  if (options_.max_restarts == 0 || told_to_end_) return;
  told_to_end_ = true;
  actions.emplace_back(EndMpirun{false, lost_reason_});
}

void SupervisionFsm::on(const EndDeadline&, SupervisionActions& actions) {
  if (running_ && told_to_end_) actions.emplace_back(EndMpirun{true, lost_reason_});
}

void SupervisionFsm::on(const AttemptEnded& event, SupervisionActions& actions) {
  if (!running_) return;
  running_ = false;
  EndFacts facts = event.facts;
  facts.node_lost = facts.node_lost || told_to_end_;
  JobEnd end = classify(facts);
  const bool damaged = !event.damage.empty() && end != JobEnd::asked && end != JobEnd::good;
  if (damaged) end = JobEnd::not_restored;
  std::string how = event.how;
  if (!lost_reason_.empty()) how += " (" + lost_reason_ + ")";
  if (damaged) how += " (" + event.damage + ")";
  attempts_.push_back({generation_, event.lasted_s, event.ran_s, how, end});
  if (!is_failure(end)) {
    Finish finish;
    finish.node_lost = end == JobEnd::own_exit && !lost_reason_.empty();
    actions.emplace_back(std::move(finish));
    return;
  }
  judge_generation(event, actions);
  // Going on from an older generation because this one's pages are damaged is
  // not a restart of a job that failed: the job did not.
  if (!damaged && restarts_ >= options_.max_restarts) {
    return give_up("it was restarted " + std::to_string(restarts_) + " times", actions);
  }
  const auto next = next_generation(event.good);
  if (!next) return give_up("no generation is left to go on from", actions);
  if (!damaged) ++restarts_;
  actions.emplace_back(Restart{*next, restarts_, std::string(job_end_words(end)) + ": " + how});
}

// Is the generation that this start came from still worth a try?
void SupervisionFsm::judge_generation(const AttemptEnded& event, SupervisionActions& actions) {
  if (!event.damage.empty()) passed_over_.insert(generation_);
  if (generation_ == 0 || !event.damage.empty()) return;
  const bool committed = !event.good.empty() && event.good.front() > newest_;
  // A node that went took the job along, whatever the generation is like.
  const bool quick = event.ran_s < kQuickFailure_s && !committed && lost_reason_.empty();
  if (!quick) {
    quick_failures_.erase(generation_);
    return;
  }
  if (++quick_failures_[generation_] < kTriesPerGeneration) return;
  passed_over_.insert(generation_);
  actions.emplace_back(
      MarkGeneration{generation_, "restarted " + std::to_string(kTriesPerGeneration) +
                                      " times, failed right after each time; last: " + event.how});
}

std::optional<std::uint64_t> SupervisionFsm::next_generation(
    const std::vector<std::uint64_t>& good) const {
  const auto may_be = [this](std::uint64_t generation) {
    return options_.lineage.holds(generation) && passed_over_.count(generation) == 0;
  };
  for (const std::uint64_t generation : good) {
    if (may_be(generation)) return generation;
  }
  if (may_be(0)) return 0;
  return std::nullopt;
}

void SupervisionFsm::give_up(const std::string& why, SupervisionActions& actions) const {
  Finish finish;
  finish.node_lost = !lost_reason_.empty();
  if (options_.max_restarts > 0) {
    finish.gave_up = true;
    finish.report.push_back("the job is given up: " + why);
    for (std::size_t i = 0; i < attempts_.size(); ++i) {
      const Attempt& each = attempts_[i];
      finish.report.push_back("  start " + std::to_string(i + 1) + ", " + origin(each.generation) +
                              ", lasted " + seconds(each.lasted_s) + ": " +
                              job_end_words(each.end) + ": " + each.how);
    }
  }
  actions.emplace_back(std::move(finish));
}

}  // namespace ckpt::coordinator
