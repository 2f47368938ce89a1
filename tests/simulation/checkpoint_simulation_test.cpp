// The coordinator's step functions and the wire codec against simulated ranks,
// in thousands of random schedules: frames of different connections overtake
// each other, agents die at any point and come back.
//
// What must hold: a committed generation is a consistent cut (no message in the
// network, nobody inside a collective, clocks equal at all members) that runs
// on to the program's end; a generation is whole or absent; nothing ever needs
// a deadline.
#include <gtest/gtest.h>

#include <memory>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "coordinator/session_fsm/session_fsm.hpp"
#include "tests/simulation/simulated_job.hpp"

namespace ckpt::simulation {
namespace {

using coordinator::Actions;

struct Agent {
  std::uint32_t number = 0;
  bool alive = false;
  std::uint64_t generation = 0;  // it works on, 0: none
  std::vector<std::int32_t> ranks;
  std::deque<std::vector<std::uint8_t>> to_coordinator, to_agent;  // encoded frames
  std::map<std::int32_t, SavedRank> frozen;
  bool flushing = false;
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
    agent = Agent{next_number_++, true, 0, agent.ranks, {}, {}, {}, false};
    session_.agent_joined(agent.number, "node" + std::to_string(agent.number), 1);
    for (const std::int32_t rank : agent.ranks) {
      say(agent, wire::RankJoined{rank, job_->world_size(), 100 + rank, 0, 0, 0});
      if (job_->finished(rank)) say(agent, wire::Finalizing{rank});
    }
  }

  void say(Agent& agent, const wire::Message& message) {
    agent.to_coordinator.push_back(*wire::encode(message));
  }

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
    const std::size_t kinds = agents_.size() * 3 + static_cast<std::size_t>(job_->world_size());
    const std::size_t first = random_() % kinds;
    for (std::size_t i = 0; i < kinds; ++i) {
      const std::size_t pick = (first + i) % kinds;
      if (pick < agents_.size() * 3) {
        Agent& agent = agents_[pick / 3];
        if (!agent.alive) continue;
        if (pick % 3 == 0 && deliver_to_coordinator(agent)) return true;
        if (pick % 3 == 1 && deliver_to_agent(agent)) return true;
        if (pick % 3 == 2 && flush(agent)) return true;
      } else {
        const auto rank = static_cast<std::int32_t>(pick - agents_.size() * 3);
        const bool moved = job_->move(rank);
        if (collect(rank) || moved) return true;
      }
    }
    return false;
  }

  Agent& agent_of(std::int32_t rank) {
    for (Agent& agent : agents_) {
      for (const std::int32_t each : agent.ranks) {
        if (each == rank) return agent;
      }
    }
    return agents_.front();
  }

  bool collect(std::int32_t rank) {
    Agent& agent = agent_of(rank);
    const std::vector<wire::Message> said = job_->take_outbox(rank);
    if (!agent.alive) return false;
    for (const wire::Message& message : said) say(agent, message);
    return !said.empty();
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
    const wire::Message message = open(agent.to_agent);
    if (const auto* it = std::get_if<wire::HoldUpQuery>(&message)) {
      wire::HoldUpAnswer answer{it->generation, it->query, {}};
      for (const std::int32_t rank : it->ranks) answer.ranks.push_back(job_->activity(rank));
      say(agent, answer);
      return true;
    }
    if (const auto* it = std::get_if<wire::Quiesce>(&message)) agent.generation = it->generation;
    if (const auto* it = std::get_if<wire::Snapshot>(&message)) {
      for (const std::int32_t rank : agent.ranks) agent.frozen[rank] = job_->save(rank);
      say(agent, wire::Snapped{it->generation, 1, 8});
      return true;
    }
    if (std::holds_alternative<wire::Resume>(message)) agent.flushing = true;
    if (std::holds_alternative<wire::Aborted>(message)) agent.flushing = false;
    if (const auto* it = std::get_if<wire::Release>(&message); it && !it->ranks.empty()) {
      for (const std::int32_t rank : it->ranks) job_->tell(rank, message);
    } else {
      for (const std::int32_t rank : agent.ranks) job_->tell(rank, message);
    }
    for (const std::int32_t rank : agent.ranks) collect(rank);
    return true;
  }

  bool flush(Agent& agent) {
    if (!agent.flushing) return false;
    agent.flushing = false;
    say(agent, wire::FlushProgress{agent.generation, 4, 8});
    say(agent, wire::Flushed{agent.generation, "part", 8});
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
