#include "coordinator/session_fsm/session_fsm.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "format/wire/rank_runs.hpp"

namespace ckpt::coordinator {

const char* rank_phase_name(RankPhase phase) {
  constexpr std::array kNames = {"rebuilding", "running", "finalizing"};
  return kNames[static_cast<std::size_t>(phase)];
}

void SessionFsm::agent_joined(std::uint32_t agent, std::string node, std::int32_t pid) {
  agents_[agent] = AgentRecord{std::move(node), pid, {}};
}

std::vector<SessionNews> SessionFsm::agent_lost(std::uint32_t agent, const std::string& reason) {
  News news;
  const auto it = agents_.find(agent);
  if (it == agents_.end()) return news;
  RanksDeparted departed{{}, "agent on " + it->second.node + " is gone: " + reason};
  for (const std::int32_t rank : it->second.ranks) {
    if (forget(agent, rank)) departed.ranks.push_back(rank);
  }
  agents_.erase(it);
  std::sort(departed.ranks.begin(), departed.ranks.end());
  if (!departed.ranks.empty()) news.emplace_back(std::move(departed));
  return news;
}

std::vector<SessionNews> SessionFsm::step(std::uint32_t agent, const wire::Message& message) {
  News news;
  if (agents_.count(agent) == 0) return news;
  std::visit(
      [&](const auto& held) {
        if constexpr (requires { this->on(agent, held, news); }) on(agent, held, news);
      },
      message);
  return news;
}

void SessionFsm::on(std::uint32_t agent, const wire::RanksJoined& message, News& news) {
  for (const wire::JoinedRank& rank : message.ranks) joined(agent, rank, news);
  tell_if_complete(news);
}

void SessionFsm::joined(std::uint32_t agent, const wire::JoinedRank& rank, News& news) {
  const auto reject = [&](std::string reason) {
    rejected_ = reason;
    news.emplace_back(RankRejected{rank.rank, std::move(reason)});
  };
  const std::string name = "rank " + std::to_string(rank.rank);
  if (rank.world_size <= 0 || rank.world_size > kMaxWorldSize || rank.rank < 0 ||
      rank.rank >= rank.world_size) {
    return reject(name + " of a world of " + std::to_string(rank.world_size) +
                  " ranks makes no sense");
  }
  if (present_ != 0 && rank.world_size != world_size_) {
    return reject(name + " is of a world of " + std::to_string(rank.world_size) +
                  " ranks, while one of " + std::to_string(world_size_) +
                  " runs: one job directory serves one mpirun at a time");
  }
  if (present_ == 0) {
    world_size_ = rank.world_size;
    ranks_.resize(static_cast<std::size_t>(world_size_));
    restarted_from_ = rank.generation;
    announced_ = restart_told_ = false;
    rejected_.clear();
  }
  Slot& slot = ranks_[static_cast<std::size_t>(rank.rank)];
  // An agent that came back may be faster than the end of its old connection.
  const bool listed = slot.present && slot.record.agent == agent;
  const bool announced = announced_;
  if (slot.present) forget(slot.record.agent, rank.rank);
  announced_ = announced;
  const bool rebuilt = rank.pid == slot.rebuilt_pid && rank.epoch == slot.rebuilt_epoch;
  const RankPhase phase =
      rank.rebuilding != 0 && !rebuilt ? RankPhase::rebuilding : RankPhase::running;
  if (phase == RankPhase::rebuilding) ++rebuilding_;
  slot.record = RankRecord{agent, rank.pid, rank.epoch, rank.generation, phase};
  slot.present = true;
  ++present_;
  if (!listed) agents_.at(agent).ranks.push_back(rank.rank);
}

bool SessionFsm::forget(std::uint32_t agent, std::int32_t rank) {
  Slot* slot = find(agent, rank);
  if (slot == nullptr) return false;
  if (slot->record.phase == RankPhase::rebuilding) --rebuilding_;
  if (slot->record.phase == RankPhase::finalizing) --finalizing_;
  slot->present = false;
  --present_;
  announced_ = false;
  if (present_ == 0) rejected_.clear();
  return true;
}

void SessionFsm::on(std::uint32_t agent, const wire::RanksGone& message, News& news) {
  RanksDeparted departed;
  const auto tell = [&] {
    std::sort(departed.ranks.begin(), departed.ranks.end());
    if (!departed.ranks.empty()) news.emplace_back(std::exchange(departed, {}));
  };
  for (const wire::GoneRank& gone : message.ranks) {
    if (!forget(agent, gone.rank)) continue;
    if (gone.description != departed.description) tell();
    departed.description = gone.description;
    departed.ranks.push_back(gone.rank);
  }
  tell();
}

void SessionFsm::on(std::uint32_t agent, const wire::Rebuilt& message, News& news) {
  const auto ranks = wire::expand(message.ranks, world_size_);
  if (!ranks) return;
  bool changed = false;
  for (const std::int32_t rank : *ranks) {
    Slot* slot = find(agent, rank);
    if (slot == nullptr || slot->record.phase != RankPhase::rebuilding) continue;
    slot->record.phase = RankPhase::running;
    slot->rebuilt_pid = slot->record.pid;
    slot->rebuilt_epoch = slot->record.epoch;
    --rebuilding_;
    changed = true;
  }
  if (changed) tell_if_complete(news);
}

void SessionFsm::on(std::uint32_t agent, const wire::Finalizing& message, News&) {
  const auto ranks = wire::expand(message.ranks, world_size_);
  if (!ranks) return;
  for (const std::int32_t rank : *ranks) {
    Slot* slot = find(agent, rank);
    if (slot == nullptr || slot->record.phase == RankPhase::finalizing) continue;
    if (slot->record.phase == RankPhase::rebuilding) --rebuilding_;
    slot->record.phase = RankPhase::finalizing;
    ++finalizing_;
  }
}

SessionFsm::Slot* SessionFsm::find(std::uint32_t agent, std::int32_t rank) {
  if (rank < 0 || static_cast<std::size_t>(rank) >= ranks_.size()) return nullptr;
  Slot& slot = ranks_[static_cast<std::size_t>(rank)];
  return slot.present && slot.record.agent == agent ? &slot : nullptr;
}

const RankRecord* SessionFsm::rank(std::int32_t number) const {
  if (number < 0 || static_cast<std::size_t>(number) >= ranks_.size()) return nullptr;
  const Slot& slot = ranks_[static_cast<std::size_t>(number)];
  return slot.present ? &slot.record : nullptr;
}

void SessionFsm::tell_if_complete(News& news) {
  if (announced_ || rebuilding_ > 0 || present_ == 0) return;
  if (present_ != static_cast<std::size_t>(world_size_)) return;
  announced_ = true;
  if (restarted_from_ != 0 && !restart_told_) {
    restart_told_ = true;
    news.emplace_back(RestartComplete{restarted_from_});
  }
  news.emplace_back(AllPresent{});
}

template <typename Chosen>
std::string SessionFsm::ranks_that(Chosen chosen) const {
  std::vector<std::int32_t> ranks;
  for (std::int32_t rank = 0; rank < world_size_; ++rank) {
    if (chosen(ranks_[static_cast<std::size_t>(rank)])) ranks.push_back(rank);
  }
  return wire::rank_list(ranks);
}

std::optional<std::string> SessionFsm::blocked_by() const {
  if (agents_.empty()) return "no agent is connected";
  if (!rejected_.empty()) return rejected_;
  if (present_ == 0) return "no rank has called MPI_Init yet";
  if (present_ != static_cast<std::size_t>(world_size_)) {
    return "of " + std::to_string(world_size_) + " ranks these are not there: " +
           ranks_that([](const Slot& slot) { return !slot.present; });
  }
  const auto in = [](RankPhase phase) {
    return [phase](const Slot& slot) { return slot.record.phase == phase; };
  };
  if (finalizing_ > 0) return "in MPI_Finalize: rank " + ranks_that(in(RankPhase::finalizing));
  if (rebuilding_ == 0) return std::nullopt;
  return "not yet rebuilt after the restart: rank " + ranks_that(in(RankPhase::rebuilding));
}

std::vector<Participant> SessionFsm::participants() const {
  std::vector<Participant> all;
  std::unordered_map<std::uint32_t, std::size_t> index;
  all.reserve(agents_.size());
  for (const auto& [number, agent] : agents_) {
    index[number] = all.size();
    all.push_back(Participant{number, agent.node, {}});
  }
  for (std::int32_t rank = 0; rank < world_size_; ++rank) {
    const Slot& slot = ranks_[static_cast<std::size_t>(rank)];
    if (slot.present) all[index.at(slot.record.agent)].ranks.push_back(rank);
  }
  std::erase_if(all, [](const Participant& each) { return each.ranks.empty(); });
  return all;
}

}  // namespace ckpt::coordinator
