#include "coordinator/session_fsm/session_fsm.hpp"

#include <array>

namespace ckpt::coordinator {
namespace {

// "0, 3-7, 12": short however many there are, up to a few runs.
std::string rank_list(const std::vector<std::int32_t>& ranks) {
  constexpr int kRuns = 6;
  std::string text;
  int runs = 0;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (++runs > kRuns) return text + ", ...";
    text += (text.empty() ? "" : ", ") + std::to_string(ranks[i]);
    if (last > i) text += "-" + std::to_string(ranks[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

const char* rank_phase_name(RankPhase phase) {
  constexpr std::array kNames = {"rebuilding", "running", "finalizing"};
  return kNames[static_cast<std::size_t>(phase)];
}

void SessionFsm::agent_joined(std::uint32_t agent, std::string node, std::int32_t pid) {
  agents_[agent] = AgentRecord{std::move(node), pid};
}

std::vector<SessionNews> SessionFsm::agent_lost(std::uint32_t agent, const std::string& reason) {
  std::vector<SessionNews> news;
  const auto it = agents_.find(agent);
  if (it == agents_.end()) return news;
  const std::string why = "agent on " + it->second.node + " is gone: " + reason;
  agents_.erase(it);
  std::vector<std::int32_t> gone;
  for (const auto& [rank, record] : ranks_) {
    if (record.agent == agent) gone.push_back(rank);
  }
  for (const std::int32_t rank : gone) {
    for (SessionNews& each : on(agent, wire::RankGone{rank, why})) news.push_back(std::move(each));
  }
  return news;
}

std::vector<SessionNews> SessionFsm::step(std::uint32_t agent, const wire::Message& message) {
  return std::visit(
      [&](const auto& held) -> std::vector<SessionNews> {
        if constexpr (requires { this->on(agent, held); }) {
          return on(agent, held);
        } else {
          return {};
        }
      },
      message);
}

std::vector<SessionNews> SessionFsm::on(std::uint32_t agent, const wire::RankJoined& message) {
  const auto reject = [&](std::string reason) -> std::vector<SessionNews> {
    rejected_ = reason;
    return {RankRejected{message.rank, std::move(reason)}};
  };
  const std::string name = "rank " + std::to_string(message.rank);
  if (message.world_size <= 0 || message.rank < 0 || message.rank >= message.world_size) {
    return reject(name + " of a world of " + std::to_string(message.world_size) +
                  " ranks makes no sense");
  }
  if (!ranks_.empty() && message.world_size != world_size_) {
    return reject(name + " is of a world of " + std::to_string(message.world_size) +
                  " ranks, while one of " + std::to_string(world_size_) +
                  " runs: one job directory serves one mpirun at a time");
  }
  if (ranks_.empty()) {
    world_size_ = message.world_size;
    restarted_from_ = message.generation;
    announced_ = restart_told_ = false;
    rejected_.clear();
  }
  // An agent that came back may be faster than the end of its old connection.
  const auto known = ranks_.find(message.rank);
  if (known != ranks_.end()) {
    if (known->second.phase == RankPhase::rebuilding) --rebuilding_;
    if (known->second.phase == RankPhase::finalizing) --finalizing_;
    ranks_.erase(known);
  }
  const auto done = rebuilt_.find(message.rank);
  const bool rebuilt =
      done != rebuilt_.end() && done->second == std::pair(message.pid, message.epoch);
  const RankPhase phase =
      message.rebuilding != 0 && !rebuilt ? RankPhase::rebuilding : RankPhase::running;
  if (phase == RankPhase::rebuilding) ++rebuilding_;
  ranks_[message.rank] =
      RankRecord{agent, message.pid, message.epoch, message.generation, phase};
  return complete();
}

std::vector<SessionNews> SessionFsm::on(std::uint32_t agent, const wire::RankGone& message) {
  RankRecord* record = find(agent, message.rank);
  if (record == nullptr) return {};
  if (record->phase == RankPhase::rebuilding) --rebuilding_;
  if (record->phase == RankPhase::finalizing) --finalizing_;
  ranks_.erase(message.rank);
  announced_ = false;
  if (ranks_.empty()) rejected_.clear();
  return {RankDeparted{message.rank, message.description}};
}

std::vector<SessionNews> SessionFsm::on(std::uint32_t agent, const wire::Rebuilt& message) {
  RankRecord* record = find(agent, message.rank);
  if (record == nullptr || record->phase != RankPhase::rebuilding) return {};
  record->phase = RankPhase::running;
  rebuilt_[message.rank] = {record->pid, record->epoch};
  --rebuilding_;
  return complete();
}

std::vector<SessionNews> SessionFsm::on(std::uint32_t agent, const wire::Finalizing& message) {
  RankRecord* record = find(agent, message.rank);
  if (record == nullptr || record->phase == RankPhase::finalizing) return {};
  if (record->phase == RankPhase::rebuilding) --rebuilding_;
  record->phase = RankPhase::finalizing;
  ++finalizing_;
  return {};
}

RankRecord* SessionFsm::find(std::uint32_t agent, std::int32_t rank) {
  const auto it = ranks_.find(rank);
  return it != ranks_.end() && it->second.agent == agent ? &it->second : nullptr;
}

std::vector<SessionNews> SessionFsm::complete() {
  std::vector<SessionNews> news;
  if (announced_ || rebuilding_ > 0 || ranks_.empty()) return news;
  if (ranks_.size() != static_cast<std::size_t>(world_size_)) return news;
  announced_ = true;
  if (restarted_from_ != 0 && !restart_told_) {
    restart_told_ = true;
    news.emplace_back(RestartComplete{restarted_from_});
  }
  news.emplace_back(AllPresent{});
  return news;
}

std::optional<std::string> SessionFsm::blocked_by() const {
  if (agents_.empty()) return "no agent is connected";
  if (!rejected_.empty()) return rejected_;
  if (ranks_.empty()) return "no rank has called MPI_Init yet";
  std::vector<std::int32_t> missing, rebuilding, finalizing;
  if (ranks_.size() != static_cast<std::size_t>(world_size_)) {
    for (std::int32_t rank = 0; rank < world_size_; ++rank) {
      if (ranks_.count(rank) == 0) missing.push_back(rank);
    }
    return "of " + std::to_string(world_size_) + " ranks these are not there: " +
           rank_list(missing);
  }
  if (rebuilding_ == 0 && finalizing_ == 0) return std::nullopt;
  for (const auto& [rank, record] : ranks_) {
    if (record.phase == RankPhase::rebuilding) rebuilding.push_back(rank);
    if (record.phase == RankPhase::finalizing) finalizing.push_back(rank);
  }
  if (!finalizing.empty()) return "in MPI_Finalize: rank " + rank_list(finalizing);
  return "not yet rebuilt after the restart: rank " + rank_list(rebuilding);
}

std::vector<Participant> SessionFsm::participants() const {
  std::map<std::uint32_t, Participant> by_agent;
  for (const auto& [rank, record] : ranks_) {
    Participant& participant = by_agent[record.agent];
    participant.ranks.push_back(rank);
  }
  std::vector<Participant> all;
  for (auto& [agent, participant] : by_agent) {
    participant.agent = agent;
    participant.node = agents_.at(agent).node;
    all.push_back(std::move(participant));
  }
  return all;
}

}  // namespace ckpt::coordinator
