// An agent of a simulation: the real RelayState, with queues for its ranks'
// channels, its snapshot worker and its connection.
//
// Purpose: what agent/relay does around the step function, without processes,
//   sockets and time.
// Ownership: job, storage and snapshots are the world's and outlive it; a Link is
//   shared with the coordinator at its other end.
// Threads: one. Errors: what must not be is a fault, in words.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "agent/relay/coordinator_silence.hpp"
#include "agent/relay/relay_state.hpp"
#include "tests/simulation/shared_storage.hpp"
#include "tests/simulation/simulated_job.hpp"

namespace ckpt::simulation {

// A TCP connection. Each end learns in its own time that the other is gone; what
// was on its way arrives up to some point.
struct Link {
  using Frames = std::deque<std::vector<std::uint8_t>>;
  Frames up, down;  // to the coordinator, to the agent
  bool agent_open = true, coordinator_open = true;
  bool cut = false;     // nothing gets through any more
  bool silent = false;  // and neither end's kernel says so

  bool whole() const { return agent_open && coordinator_open && !cut; }
  void say_up(const wire::Message& message);
  void say_down(const wire::Message& message);
  static wire::Message open(Frames& frames);
  // A suffix in each direction is lost.
  void lose(std::mt19937_64& random);
};
using LinkPointer = std::shared_ptr<Link>;

// What each node file holds, by the number that is written in it.
using Snapshots = std::vector<std::map<std::int32_t, SavedRank>>;

class SimulatedAgent {
 public:
  using Fault = std::function<void(const std::string&)>;
  struct World {
    SimulatedJob& job;
    SharedStorage& storage;
    Snapshots& snapshots;
    std::mt19937_64& random;
    Fault fault;
  };
  SimulatedAgent(const World& world, std::string node) : world_(world), node_(std::move(node)) {}

  std::vector<std::int32_t> ranks;

  void start();  // a new process, to which all its ranks connect
  void die();    // the ranks go on by themselves
  bool alive() const { return alive_; }
  const std::string& node() const { return node_; }

  // A new connection; its hello is on the way.
  LinkPointer connect(std::uint64_t incarnation);
  const LinkPointer& link() const { return link_; }
  void lose_coordinator();
  bool connected() const { return link_ != nullptr; }

  // Each: one thing; false: there is nothing.
  bool read();
  bool work();
  bool collect(std::int32_t rank);
  bool carry(std::int32_t rank);
  // `heard`: its coordinator has said something since the last one.
  void tick(bool heard);
  bool idle() const;

 private:
  struct Work {
    enum Kind : std::uint8_t { freeze, write, drop } kind = freeze;
    wire::Snapshot order;
    std::uint64_t generation = 0;
    bool committed = false;
  };
  void feed(const relay::Event& event);
  void perform(relay::ToRank& action);
  void perform(const relay::ToCoordinator& action);
  void perform(const relay::Freeze& action);
  void perform(const relay::Write& action);
  void perform(const relay::DropSnapshot& action);
  void perform(const relay::AnswerHoldUp& action);
  void perform(const relay::EndAgent& action);
  void perform(const relay::CallForNews& action);
  void do_work(const Work& work);
  void say(const wire::Message& message);

  World world_;
  std::string node_;
  bool alive_ = false, welcomed_ = false;
  relay::RelayState relay_;
  relay::CoordinatorSilence silence_;
  LinkPointer link_;
  std::map<std::int32_t, std::deque<relay::ShimOrder>> to_rank_;
  std::map<std::int32_t, std::deque<relay::ShimFrame>> from_rank_;
  std::deque<Work> works_;        // its snapshot worker's
  std::deque<relay::Event> due_;  // what its loop comes back to
  wire::Snapshot order_;
  std::optional<std::map<std::int32_t, SavedRank>> frozen_;
  std::string written_;
};

}  // namespace ckpt::simulation
