// What a node says for all its ranks at once.
#include <algorithm>
#include <utility>

#include "agent/relay/relay_state.hpp"
#include "format/wire/rank_runs.hpp"

namespace ckpt::relay {

// ---- answers of a generation

void RelayState::await(Awaiting what, Actions& actions) {
  awaiting_ = what;
  unanswered_ = 0;
  for (auto& [number, rank] : ranks_) {
    rank.answered = false;
    if (rank.takes_part) ++unanswered_;
  }
  if (unanswered_ == 0) report(actions);  // a node without ranks
}

void RelayState::answered(Rank& rank, Awaiting what, Actions& actions) {
  if (awaiting_ != what || !rank.takes_part || rank.answered) return;
  rank.answered = true;
  if (--unanswered_ == 0) report(actions);
}

void RelayState::report(Actions& actions) {
  switch (awaiting_) {
    case Awaiting::clocks: return report_clocks(actions);
    case Awaiting::level:
      actions.push_back(ToCoordinator{wire::Level{generation_, version_}});
      return;
    case Awaiting::markers: return report_sent(actions);
    case Awaiting::drained: return report_drained(actions);
    case Awaiting::nothing: return;
  }
}

void RelayState::report_clocks(Actions& actions) {
  std::vector<std::int32_t> ranks;
  for (const auto& [number, rank] : ranks_)
    if (rank.takes_part) ranks.push_back(number);
  wire::Clocks message{generation_, wire::to_runs(ranks), {}};
  for (const auto& [gid, clock] : clocks_) message.clocks.push_back(clock);
  actions.push_back(ToCoordinator{std::move(message)});
}

// Channels within the node stay here. One whose count is that of the last drain
// is not worth a word: all that was sent on it had arrived by then.
void RelayState::report_sent(Actions& actions) {
  std::vector<wire::Channel> channels;
  for (auto& [number, rank] : ranks_) rank.expected.clear();
  for (auto& [number, rank] : ranks_) {
    auto settled = rank.settled.begin();
    for (const ckpt_marker& marker : rank.sent) {
      const auto here = ranks_.find(marker.peer);
      if (here != ranks_.end()) {
        here->second.expected.push_back({number, 0, marker.count});
        continue;
      }
      while (settled != rank.settled.end() && settled->peer < marker.peer) ++settled;
      const bool known = settled != rank.settled.end() && settled->peer == marker.peer &&
                         settled->count == marker.count;
      if (!known) channels.push_back({number, marker.peer, marker.count});
    }
  }
  std::sort(channels.begin(), channels.end(), [](const wire::Channel& a, const wire::Channel& b) {
    return std::pair(a.destination, a.source) < std::pair(b.destination, b.source);
  });
  wire::Sent message{generation_, 0, {}};
  for (const wire::Channel& channel : channels) {
    if (message.channels.packed().size() >= wire::kMaxPart) {
      message.more = 1;
      actions.push_back(ToCoordinator{std::exchange(message, {generation_, 0, {}})});
    }
    message.channels.add(channel);
  }
  actions.push_back(ToCoordinator{std::move(message)});
}

void RelayState::report_drained(Actions& actions) const {
  wire::Drained message{generation_, 0, 0};
  for (const auto& [number, rank] : ranks_) {
    message.logged_messages += rank.drained.logged_messages;
    message.logged_bytes += rank.drained.logged_bytes;
  }
  actions.push_back(ToCoordinator{message});
}

// The order to freeze says that every rank of the job has drained: what had been
// sent is received, for good.
void RelayState::settle() {
  if (awaiting_ == Awaiting::drained && unanswered_ == 0)
    for (auto& [number, rank] : ranks_) rank.settled = std::exchange(rank.sent, {});
  awaiting_ = Awaiting::nothing;
}

// ---- news

RelayState::News& RelayState::news(News::Kind kind, std::uint64_t generation) {
  if (news_.empty() || news_.back().kind != kind || news_.back().generation != generation) {
    news_.emplace_back();
    news_.back().kind = kind;
    news_.back().generation = generation;
  }
  return news_.back();
}

// It goes ahead of whatever else is said, so that order is kept.
void RelayState::tell_news(bool due, Actions& actions) {
  if (due) news_called_ = false;
  if (news_.empty() && raised_.empty()) return;
  const auto first = std::find_if(actions.begin(), actions.end(), [](const Action& action) {
    return std::holds_alternative<ToCoordinator>(action);
  });
  if (!due && first == actions.end()) {
    if (!std::exchange(news_called_, true)) actions.push_back(CallForNews{});
    return;
  }
  std::vector<Action> told;
  for (News& each : news_) told.push_back(ToCoordinator{message_of(std::move(each))});
  if (!raised_.empty()) {
    wire::Raise raise{generation_, raised_by_, {}};
    for (const auto& [gid, clock] : raised_) raise.clocks.push_back(clock);
    told.push_back(ToCoordinator{std::move(raise)});
  }
  drop_news();
  actions.insert(first, std::make_move_iterator(told.begin()), std::make_move_iterator(told.end()));
}

void RelayState::drop_news() {
  news_.clear();
  raised_.clear();
}

wire::Message RelayState::message_of(News news) {
  std::sort(news.ranks.begin(), news.ranks.end());
  switch (news.kind) {
    case News::Kind::joined: return wire::RanksJoined{std::move(news.joined)};
    case News::Kind::gone: return wire::RanksGone{std::move(news.gone)};
    case News::Kind::rebuilt: return wire::Rebuilt{wire::to_runs(news.ranks), news.generation};
    case News::Kind::finalizing: return wire::Finalizing{wire::to_runs(news.ranks)};
  }
  return {};
}

wire::JoinedRank RelayState::joined(const Rank& rank) {
  wire::JoinedRank message;
  message.rank = rank.hello.rank;
  message.world_size = rank.hello.world_size;
  message.pid = rank.hello.pid;
  message.epoch = rank.hello.epoch;
  message.generation = rank.hello.generation;
  message.rebuilding = rank.rebuilding ? 1 : 0;
  return message;
}

}  // namespace ckpt::relay
