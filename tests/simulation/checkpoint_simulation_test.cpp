// The step functions of coordinator and agents and the wire codec against
// simulated ranks, in thousands of random schedules: frames of different
// connections overtake each other, agents die at any point and come back.
//
// What must hold: a committed generation is a consistent cut (no message in the
// network, nobody inside a collective, clocks equal at all members) that runs
// on to the program's end; a generation is whole or absent; nothing ever needs
// a deadline.
#include <gtest/gtest.h>

#include <memory>

#include "agent/relay/relay_state.hpp"
#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "coordinator/session_fsm/session_fsm.hpp"
#include "tests/simulation/simulated_job.hpp"

namespace ckpt::simulation {
namespace {

using coordinator::Actions;

struct Agent {
  std::uint32_t number = 0;
  bool alive = false;
  relay::RelayState relay;
  std::vector<std::int32_t> ranks;
  std::deque<std::vector<std::uint8_t>> to_coordinator, to_agent;  // encoded frames
  std::map<std::int32_t, std::deque<relay::ShimOrder>> to_rank;
  std::map<std::int32_t, std::deque<relay::ShimFrame>> from_rank;
  std::map<std::int32_t, SavedRank> frozen;
  std::deque<relay::Event> due;  // what its worker and its loop will report
};

class World {
 public:
  World(std::uint64_t seed, int deaths) : random_(seed), deaths_(deaths) {
    const auto size = static_cast<std::int32_t>(2 + random_() % 5);
    program_ = Program::random(random_, size, 60 + static_cast<int>(random_() % 200));
    job_ = std::make_unique<SimulatedJob>(program_);
    agents_.resize(1 + random_() % 3);
    for (std::int32_t rank = 0; rank < size; ++rank) {
      agents_[random_() % agents_.size()].ranks.push_back(rank);
    }
    for (Agent& agent : agents_) connect(agent);
  }

  void run() {
    std::uint64_t idle = 0;
    for (std::uint64_t step = 0; step < 200'000 && !::testing::Test::HasFailure(); ++step) {
      if (job_->all_finished() && quiet()) break;
      if (checkpoint_.state() == coordinator::State::idle && random_() % 40 == 0) request();
      if (deaths_ > 0 && random_() % 150 == 0) kill_one();
      if (move()) {
        idle = 0;
        continue;
      }
      ++idle;
      // Nothing can move: time passes, and what ticks bring must be enough.
      carry_out(checkpoint_.step(coordinator::Tick{}));
      for (Agent& agent : agents_) {
        if (!agent.alive && random_() % 4 == 0) connect(agent);
      }
      ASSERT_LT(idle, 400u) << "stuck in " << coordinator::state_name(checkpoint_.state()) << ": "
                            << checkpoint_.awaited_text();
    }
    EXPECT_TRUE(job_->all_finished());
    for (const std::string& fault : job_->faults()) ADD_FAILURE() << fault;
    if (!committed_.empty()) run_on_from(committed_);
  }

  int commits = 0, aborts = 0, releases = 0;
  std::map<std::string, int> aborted_in;

 private:
  void connect(Agent& agent) {
    agent = Agent{next_number_++, true, {}, agent.ranks, {}, {}, {}, {}, {}, {}};
    session_.agent_joined(agent.number, "node" + std::to_string(agent.number), 1);
    feed(agent, relay::CoordinatorUp{});
    for (const std::int32_t rank : agent.ranks) {
      ckpt_hello hello{};
      hello.rank = rank;
      hello.world_size = job_->world_size();
      hello.pid = 100 + rank;
      feed(agent, relay::RankHello{hello});
      if (job_->finished(rank)) agent.from_rank[rank].push_back(relay::FinalizingFrame{});
    }
  }

  void feed(Agent& agent, const relay::Event& event) {
    for (relay::Action& action : agent.relay.step(event)) {
      std::visit([&](auto& held) { perform(agent, held); }, action);
    }
  }
  void perform(Agent& agent, relay::ToRank& action) {
    agent.to_rank[action.rank].push_back(std::move(action.order));
  }
  void perform(Agent& agent, const relay::ToCoordinator& action) {
    agent.to_coordinator.push_back(*wire::encode(action.message));
  }
  void perform(Agent& agent, const relay::Freeze& action) {
    for (const relay::RankToFreeze& each : action.ranks) {
      agent.frozen[each.rank] = job_->save(each.rank);
    }
    agent.due.push_back(relay::Frozen{action.order.generation, 1, 8});
  }
  void perform(Agent& agent, const relay::Write& action) {
    agent.due.push_back(relay::WriteProgress{4, 8});
    agent.due.push_back(relay::Written{action.generation, "part", 8});
  }
  void perform(Agent& agent, const relay::DropSnapshot& action) {
    if (!action.committed) agent.frozen.clear();
  }
  void perform(Agent& agent, const relay::AnswerHoldUp& action) {
    wire::HoldUpAnswer answer{action.query.generation, action.query.query, 0, 0, {}};
    for (const std::int32_t rank : action.awaited) {
      answer.ranks.push_back(job_->activity(rank));
      ++answer.awaited;
      if (!answer.ranks.back().inside.empty()) ++answer.blocked;
    }
    agent.to_coordinator.push_back(*wire::encode(answer));
  }
  void perform(Agent&, const relay::EndAgent&) { ADD_FAILURE() << "nobody ended the job"; }
  void perform(Agent& agent, const relay::CallForNews&) { agent.due.push_back(relay::NewsDue{}); }

  static wire::Message open(std::deque<std::vector<std::uint8_t>>& queue) {
    const std::vector<std::uint8_t> frame = std::move(queue.front());
    queue.pop_front();
    wire::FrameReader reader;
    reader.append(frame);
    return **reader.next();
  }

  void request() {
    if (session_.blocked_by()) return;
    carry_out(checkpoint_.step(coordinator::Begin{++generation_, session_.world_size(),
                                                  session_.participants()}));
  }

  // One thing, of whichever is picked; false: after a fair search nothing could.
  bool move() {
    if (targets_due_ && random_() % 8 == 0) return send_targets();
    const std::size_t kinds = agents_.size() * 3 + static_cast<std::size_t>(job_->world_size());
    const std::size_t first = random_() % kinds;
    for (std::size_t i = 0; i < kinds; ++i) {
      const std::size_t pick = (first + i) % kinds;
      if (pick < agents_.size() * 3) {
        Agent& agent = agents_[pick / 3];
        if (!agent.alive) continue;
        if (pick % 3 == 0 && deliver_to_coordinator(agent)) return true;
        if (pick % 3 == 1 && deliver_to_agent(agent)) return true;
        if (pick % 3 == 2 && work(agent)) return true;
      } else {
        const auto rank = static_cast<std::int32_t>(pick - agents_.size() * 3);
        if (move(rank)) return true;
      }
    }
    return targets_due_ && send_targets();
  }

  Agent& agent_of(std::int32_t rank) {
    for (Agent& agent : agents_) {
      for (const std::int32_t each : agent.ranks) {
        if (each == rank) return agent;
      }
    }
    return agents_.front();
  }

  bool send_targets() {
    targets_due_ = false;
    carry_out(checkpoint_.step(coordinator::TargetsDue{}));
    return true;
  }

  // The rank goes on, or its channel carries a frame.
  bool move(std::int32_t rank) {
    Agent& agent = agent_of(rank);
    if (agent.alive && random_() % 2 == 0 && carry(agent, rank)) return true;
    const bool moved = job_->move(rank);
    const bool said = collect(agent, rank);
    return moved || said || (agent.alive && carry(agent, rank));
  }

  bool collect(Agent& agent, std::int32_t rank) {
    std::vector<relay::ShimFrame> said = job_->take_outbox(rank);
    if (!agent.alive) return false;
    for (relay::ShimFrame& frame : said) agent.from_rank[rank].push_back(std::move(frame));
    return !said.empty();
  }

  bool carry(Agent& agent, std::int32_t rank) {
    auto& up = agent.from_rank[rank];
    auto& down = agent.to_rank[rank];
    if (!up.empty() && (down.empty() || random_() % 2 == 0)) {
      relay::RankSaid said{rank, std::move(up.front())};
      up.pop_front();
      feed(agent, said);
      return true;
    }
    if (down.empty()) return false;
    job_->tell(rank, down.front());
    down.pop_front();
    collect(agent, rank);
    return true;
  }

  // What its snapshot worker has done, what its loop comes back to.
  bool work(Agent& agent) {
    if (agent.due.empty()) return false;
    const relay::Event event = std::move(agent.due.front());
    agent.due.pop_front();
    feed(agent, event);
    return true;
  }

  bool deliver_to_coordinator(Agent& agent) {
    if (agent.to_coordinator.empty()) return false;
    const wire::Message message = open(agent.to_coordinator);
    session_.step(agent.number, message);
    carry_out(checkpoint_.step(coordinator::FromAgent{agent.number, message}));
    return true;
  }

  bool deliver_to_agent(Agent& agent) {
    if (agent.to_agent.empty()) return false;
    feed(agent, relay::CoordinatorSaid{open(agent.to_agent)});
    return true;
  }

  // What it had sent arrives up to some point; then the connection is gone.
  void kill_one() {
    Agent& agent = agents_[random_() % agents_.size()];
    if (!agent.alive) return;
    --deaths_;
    for (std::size_t arrive = random_() % 4; arrive > 0; --arrive) deliver_to_coordinator(agent);
    agent.alive = false;
    for (const std::int32_t rank : agent.ranks) {
      job_->take_outbox(rank);
      job_->resume(rank);
    }
    session_.agent_lost(agent.number, "died");
    carry_out(checkpoint_.step(coordinator::AgentLost{agent.number, "died"}));
  }

  void carry_out(const Actions& actions) {
    for (const coordinator::Action& action : actions) {
      if (const auto* it = std::get_if<coordinator::Send>(&action)) {
        if (std::holds_alternative<wire::Release>(it->message)) ++releases;
        post(it->agent, it->message);
      } else if (const auto* it = std::get_if<coordinator::OrderSnapshot>(&action)) {
        wire::Snapshot snapshot;
        snapshot.generation = checkpoint_.generation();
        post(it->agent, snapshot);
      } else if (std::holds_alternative<coordinator::CallForTargets>(action)) {
        targets_due_ = true;
      } else if (const auto* it = std::get_if<coordinator::Commit>(&action)) {
        commit(*it);
        carry_out(checkpoint_.step(coordinator::CommitEnded{true, ""}));
      } else if (const auto* it = std::get_if<coordinator::Ended>(&action)) {
        if (it->verdict == wire::Verdict::committed) {
          ++commits;
        } else {
          ++aborts;
          ++aborted_in[coordinator::state_name(it->during)];
        }
        EXPECT_NE(it->verdict, wire::Verdict::timed_out);
        EXPECT_EQ(it->reason.find(" sent "), std::string::npos) << it->reason;
      }
    }
  }

  void post(std::uint32_t number, const wire::Message& message) {
    for (Agent& agent : agents_) {
      if (agent.alive && agent.number == number) agent.to_agent.push_back(*wire::encode(message));
    }
  }

  void commit(const coordinator::Commit& commit) {
    std::vector<SavedRank> saved(static_cast<std::size_t>(job_->world_size()));
    std::size_t ranks = 0;
    for (const coordinator::Part& part : commit.parts) {
      for (const std::int32_t rank : part.ranks) {
        saved[static_cast<std::size_t>(rank)] = agent_of(rank).frozen.at(rank);
        ++ranks;
      }
    }
    ASSERT_EQ(ranks, saved.size()) << "a generation is whole";
    for (std::size_t from = 0; from < saved.size(); ++from) {
      EXPECT_FALSE(saved[from].inside_collective);
      for (const auto& [to, count] : saved[from].sent) {
        EXPECT_EQ(saved[static_cast<std::size_t>(to)].received[static_cast<std::int32_t>(from)],
                  count)
            << "channel " << from << " to " << to;
      }
    }
    for (const Communicator& communicator : program_.communicators) {
      const auto count = [&](std::int32_t rank) {
        return saved[static_cast<std::size_t>(rank)].begun[communicator.gid];
      };
      for (const std::int32_t rank : communicator.members) {
        EXPECT_EQ(count(rank), count(communicator.members.front()));
      }
    }
    committed_ = std::move(saved);
  }

  void run_on_from(const std::vector<SavedRank>& saved) {
    SimulatedJob again(program_, saved);
    bool moved = true;
    while (moved) {
      moved = false;
      for (std::int32_t rank = 0; rank < again.world_size(); ++rank) {
        while (again.move(rank)) moved = true;
      }
    }
    EXPECT_TRUE(again.all_finished());
    EXPECT_EQ(again.in_the_network(), 0u);
    for (const std::string& fault : again.faults()) ADD_FAILURE() << fault;
  }

  bool quiet() const {
    if (checkpoint_.state() != coordinator::State::idle) return false;
    for (const Agent& agent : agents_) {
      if (agent.alive && !(agent.to_coordinator.empty() && agent.to_agent.empty())) return false;
    }
    return true;
  }

  std::mt19937_64 random_;
  int deaths_;
  Program program_;
  std::unique_ptr<SimulatedJob> job_;
  std::vector<Agent> agents_;
  std::uint32_t next_number_ = 0;
  std::uint64_t generation_ = 0;
  bool targets_due_ = false;
  coordinator::SessionFsm session_;
  coordinator::CheckpointFsm checkpoint_;
  std::vector<SavedRank> committed_;
};

TEST(CheckpointSimulation, EveryCutIsConsistentAndNothingNeedsADeadline) {
  int commits = 0, releases = 0;
  for (std::uint64_t seed = 1; seed <= 800 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, 0);
    world.run();
    commits += world.commits;
    releases += world.releases;
  }
  EXPECT_GT(commits, 500);
  EXPECT_GT(releases, 0) << "the schedules are too tame";
}

TEST(CheckpointSimulation, AgentsMayDieAtAnyPoint) {
  int commits = 0;
  std::map<std::string, int> aborted_in;
  for (std::uint64_t seed = 1; seed <= 800 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, 6);
    world.run();
    commits += world.commits;
    for (const auto& [state, count] : world.aborted_in) aborted_in[state] += count;
  }
  EXPECT_GT(commits, 300);
  for (const char* state : {"quiesce", "level", "cut", "drain", "snapshot", "flush"}) {
    EXPECT_GT(aborted_in[state], 0) << "no death in " << state;
  }
}

}  // namespace
}  // namespace ckpt::simulation
