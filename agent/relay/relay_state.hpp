// RelayState: what the agent decides, without sockets, processes or clocks.
//
// Purpose: one step function from an event to actions. It aggregates what the
//   node's shims say for the coordinator (one message a node and state, whatever
//   the number of ranks), spreads what the coordinator says to them, starts and
//   drops snapshots, and opens the doors of all ranks whenever a generation ends
//   early or the coordinator is lost.
// Ownership: values; it knows ranks by number only.
// Threads: one at a time.
// Errors: frames and messages about another generation crossed with an abort and
//   are dropped (PROTOCOL.md).
// Source: format/wire/PROTOCOL.md, ARCHITECTURE.md "A checkpoint".
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/relay/shim_frames.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::relay {

// ---- events

struct RankHello {
  ckpt_hello hello{};
};
struct RankSaid {
  std::int32_t rank = -1;
  ShimFrame frame;
};
struct RankClosed {
  std::int32_t rank = -1;
  std::string how;
};
struct CoordinatorUp {};
struct CoordinatorLost {};
struct CoordinatorSaid {
  wire::Message message;
};
struct Frozen {
  std::uint64_t generation = 0;
  std::uint64_t frozen_ns = 0, payload_bytes = 0;
};
struct Written {
  std::uint64_t generation = 0;
  std::string path;
  std::uint64_t bytes = 0;
};
// Freezing or writing failed; the snapshot has cleaned up behind itself.
struct SnapshotFailed {
  std::uint64_t generation = 0;
  std::int32_t rank = -1;
  bool vanished = false;
  std::string cause;
};
struct WriteProgress {
  std::uint64_t bytes_done = 0, bytes_total = 0;
};
// What CallForNews asked for.
struct NewsDue {};
using Event =
    std::variant<RankHello, RankSaid, RankClosed, CoordinatorUp, CoordinatorLost, CoordinatorSaid,
                 Frozen, Written, SnapshotFailed, WriteProgress, NewsDue>;

// ---- actions

struct ToRank {
  std::int32_t rank = -1;
  ShimOrder order;
};
struct ToCoordinator {
  wire::Message message;
};
struct RankToFreeze {
  std::int32_t rank = -1;
  std::uint64_t logged_messages = 0, logged_bytes = 0;
};
struct Freeze {
  wire::Snapshot order;
  std::vector<RankToFreeze> ranks;
};
struct Write {
  std::uint64_t generation = 0;
};
// Kill the copies; remove the partial file unless `committed`.
struct DropSnapshot {
  std::uint64_t generation = 0;
  bool committed = false;
};
struct AnswerHoldUp {
  wire::HoldUpQuery query;
  std::vector<std::int32_t> awaited;
};
// Feed NewsDue once what is ready now has been read: ranks that come and go at
// the same time are then one message, and so are clocks raised at the same time.
struct CallForNews {};
struct EndAgent {
  std::string reason;
};
using Action = std::variant<ToRank, ToCoordinator, Freeze, Write, DropSnapshot, AnswerHoldUp,
                            EndAgent, CallForNews>;

class RelayState {
 public:
  std::vector<Action> step(const Event& event);

  enum class Phase { idle, cutting, freezing, frozen, writing, written };
  Phase phase() const { return phase_; }
  // From QUIESCE to RESUME.
  bool ranks_held_up() const {
    return phase_ == Phase::cutting || phase_ == Phase::freezing || phase_ == Phase::frozen;
  }
  std::uint64_t generation() const { return generation_; }
  std::size_t ranks() const { return ranks_.size(); }

 private:
  using Markers = std::vector<ckpt_marker>;  // ascending by peer
  struct Rank {
    ckpt_hello hello{};
    bool rebuilding = false, finalizing = false;
    bool takes_part = false;          // was there at QUIESCE
    bool answered = false;            // what `awaiting_` says
    std::vector<std::uint64_t> gids;  // of its communicators, ascending
    Markers sent;                     // answer to CUT
    Markers settled;                  // what had been sent at the last drain: it all arrived
    Markers expected;                 // DRAIN, being gathered
    DrainedFrame drained;
  };
  // What the ranks that take part owe now.
  enum class Awaiting : std::uint8_t { nothing, clocks, level, markers, drained };
  using Actions = std::vector<Action>;

  void on(const RankHello& event, Actions& actions);
  void on(const RankSaid& event, Actions& actions);
  void on(const RankClosed& event, Actions& actions);
  void on(const CoordinatorUp& event, Actions& actions);
  void on(const CoordinatorLost& event, Actions& actions);
  void on(const CoordinatorSaid& event, Actions& actions);
  void on(const Frozen& event, Actions& actions);
  void on(const Written& event, Actions& actions);
  void on(const SnapshotFailed& event, Actions& actions);
  void on(const WriteProgress& event, Actions& actions);
  void on(const NewsDue&, Actions&) {}  // step() does it

  // Frames of a rank.
  void said(std::int32_t rank, const ClocksFrame& frame, Actions& actions);
  void said(std::int32_t rank, const LevelFrame& frame, Actions& actions);
  void said(std::int32_t rank, const RaiseFrame& frame, Actions& actions);
  void said(std::int32_t rank, const SentFrame& frame, Actions& actions);
  void said(std::int32_t rank, const DrainedFrame& frame, Actions& actions);
  void said(std::int32_t rank, const RebuiltFrame& frame, Actions& actions);
  void said(std::int32_t rank, const FinalizingFrame& frame, Actions& actions);
  void said(std::int32_t rank, const CannotFrame& frame, Actions& actions);
  void said(std::int32_t, const ResumedFrame&, Actions&) {}
  void said(std::int32_t, const ckpt_hello&, Actions&) {}

  // Messages of the coordinator.
  void told(const wire::Quiesce& message, Actions& actions);
  void told(const wire::Targets& message, Actions& actions);
  void told(const wire::Release& message, Actions& actions);
  void told(const wire::Cut& message, Actions& actions);
  void told(const wire::Drain& message, Actions& actions);
  void told(const wire::Snapshot& message, Actions& actions);
  void told(const wire::Resume& message, Actions& actions);
  void told(const wire::Committed& message, Actions& actions);
  void told(const wire::Aborted& message, Actions& actions);
  void told(const wire::HoldUpQuery& message, Actions& actions);
  void told(const wire::Shutdown& message, Actions& actions);

  bool current(std::uint64_t generation) const {
    return phase_ != Phase::idle && generation == generation_;
  }
  void order_all(ShimOrder order, Actions& actions) const;
  bool forget(std::int32_t number, const std::string& how);  // false: not there
  void give_up(Actions& actions);
  void end_generation();
  void await(Awaiting what, Actions& actions);
  // The rank has answered; when it was the last, the node reports.
  void answered(Rank& rank, Awaiting what, Actions& actions);
  void report(Actions& actions);
  void report_clocks(Actions& actions);
  void report_sent(Actions& actions);
  void report_drained(Actions& actions) const;
  void settle();

  // Ranks coming and going, gathered; what follows on another kind is another one.
  struct News {
    enum class Kind : std::uint8_t { joined, gone, rebuilt, finalizing } kind = Kind::joined;
    std::vector<wire::JoinedRank> joined;
    std::vector<wire::GoneRank> gone;
    std::vector<std::int32_t> ranks;
    std::uint64_t generation = 0;  // rebuilt
  };
  News& news(News::Kind kind, std::uint64_t generation = 0);
  void tell_news(bool due, Actions& actions);
  void drop_news();
  static wire::Message message_of(News news);
  static wire::JoinedRank joined(const Rank& rank);

  std::map<std::int32_t, Rank> ranks_;
  std::vector<News> news_;
  std::map<std::uint64_t, wire::Clock> raised_;  // by gid: not yet told
  std::int32_t raised_by_ = -1;                  // one of those that did
  bool news_called_ = false;
  bool coordinator_ = false;
  Phase phase_ = Phase::idle;
  std::uint64_t generation_ = 0;
  Awaiting awaiting_ = Awaiting::nothing;
  std::size_t unanswered_ = 0;                   // of those that take part
  std::uint64_t version_ = 0;                    // of the last targets
  std::map<std::uint64_t, wire::Clock> clocks_;  // by gid: the highest known here
  bool refused_ = false;                         // this generation; once is enough
};

}  // namespace ckpt::relay
