// What befalls a simulated job, and when.
#include <algorithm>

#include "tests/simulation/world.hpp"

namespace ckpt::simulation {

using coordinator::State;

// Often where a generation is for a few steps only.
void World::inject() {
  const SimulatedCoordinator* named = announced();
  const bool brief =
      named != nullptr && named->state() != State::idle && named->state() != State::level;
  if (random_() % (brief ? 25 : 250) != 0) return;
  SimulatedAgent& agent = agents_[random_() % agents_.size()];
  Connection* connection = nullptr;
  for (int tries = 0; tries < 3 && !connections_.empty(); ++tries) {
    connection = &connections_[random_() % connections_.size()];
    if (!connection->link->up.empty()) break;  // there is something to lose
  }
  Coordinator& coordinator = coordinators_[random_() % coordinators_.size()];
  switch (random_() % 6) {
    case 0:
      if (left_.agents > 0 && agent.alive()) kill_agent(agent);
      return;
    case 1:
      if (left_.links > 0 && connection != nullptr && connection->link->whole()) cut(*connection);
      return;
    case 2:
      if (left_.nodes > 0 && agent.alive() && !agent.ranks.empty()) kill_node(agent);
      return;
    case 3:
      if (left_.coordinators > 0 && coordinator.process->alive()) kill_coordinator(coordinator);
      return;
    case 4:
      if (left_.usurpers > 0 && coordinator.process->serving()) usurp(coordinator);
      return;
    default:
      if (left_.duplicates > 0 && connection != nullptr) repeat(*connection);
      return;
  }
}

void World::note(const std::string& failure) {
  const SimulatedCoordinator* named = announced();
  ++tally_.happened[failure]
                   [named != nullptr ? coordinator::state_name(named->state()) : "no coordinator"];
}

void World::kill_agent(SimulatedAgent& agent) {
  --left_.agents;
  note("agent dies");
  agent.die();
}

// Each end learns of it in its own time, and by silence alone where the network
// swallows what is sent.
void World::cut(Connection& connection) {
  --left_.links;
  Link& link = *connection.link;
  link.silent = random_() % 3 == 0;
  note(link.silent ? "connection is silent" : "connection is cut");
  link.cut = true;
  if (random_() % 2 == 0) link.lose(random_);
}

void World::kill_node(SimulatedAgent& agent) {
  --left_.nodes;
  note("node dies");
  node_lost_ = true;
  lost_[static_cast<std::size_t>(&agent - agents_.data())] = true;
  if (agent.link()) agent.link()->silent = random_() % 2 == 0;
  agent.die();
  for (const std::int32_t rank : agent.ranks) job_->end(rank);
}

void World::kill_coordinator(Coordinator& coordinator) {
  --left_.coordinators;
  ++tally_.happened["coordinator dies"][coordinator.process->swept()
                                            ? coordinator::state_name(coordinator.process->state())
                                            : "sweeping"];
  const auto number = static_cast<std::size_t>(&coordinator - coordinators_.data());
  for (Connection& each : connections_) {
    if (each.coordinator != number || !each.link->coordinator_open) continue;
    each.link->lose(random_);
    each.link->silent = random_() % 4 == 0;
  }
  coordinator.process->die();
  coordinator.stalled = 0;
}

// As after the lease of a lock on network storage: the old one may stand still for
// a while, lose its agents, and go on where it was.
void World::usurp(Coordinator& coordinator) {
  --left_.usurpers;
  ++tally_.happened["another takes over"][coordinator::state_name(coordinator.process->state())];
  const auto number = static_cast<std::size_t>(&coordinator - coordinators_.data());
  if (random_() % 3 != 0) coordinator.stalled = static_cast<int>(random_() % 4000);
  for (Connection& each : connections_) {
    if (each.coordinator == number && each.link->whole() && random_() % 3 != 0) {
      each.link->cut = true;
      each.link->lose(random_);
    }
  }
  start_coordinator();  // `coordinator` may have moved
}

void World::repeat(Connection& connection) {
  Link& link = *connection.link;
  Link::Frames& frames = random_() % 2 == 0 ? link.up : link.down;
  if (frames.empty()) return;
  --left_.duplicates;
  note("frame comes twice");
  frames.push_front(frames.front());
}

}  // namespace ckpt::simulation
