#include "tests/simulation/world.hpp"

#include <algorithm>

namespace ckpt::simulation {

using coordinator::State;

World::World(std::uint64_t seed, const Faults& faults, const coordinator::JobDirectory& directory)
    : random_(seed),
      left_(faults),
      directory_(directory),
      storage_(
          "/job",
          [this](std::uint64_t number, const std::string& from,
                 const std::vector<std::string>& parts) { became_visible(number, from, parts); },
          [this](const std::string& text) { fault(text); }) {
  const auto size = static_cast<std::int32_t>(2 + random_() % 5);
  program_ = Program::random(random_, size, faults.operations + static_cast<int>(random_() % 200));
  job_ = std::make_unique<SimulatedJob>(program_);
  const std::size_t nodes = 1 + random_() % 3;
  const SimulatedAgent::World theirs{*job_, storage_, snapshots_, random_,
                                     [this](const std::string& text) { fault(text); }};
  for (std::size_t i = 0; i < nodes; ++i) {
    agents_.emplace_back(theirs, "node" + std::to_string(i));
  }
  lost_.resize(nodes);
  for (std::int32_t rank = 0; rank < size; ++rank) {
    agent_of_rank_.push_back(random_() % nodes);
    agents_[agent_of_rank_.back()].ranks.push_back(rank);
  }
  for (SimulatedAgent& agent : agents_) agent.start();
  static_cast<void>(linux_file_system().unlink(directory_.file(kIncarnationFile)));
  if (!coordinator::raise_incarnation(linux_file_system(), directory_)) fault("no incarnation");
  start_coordinator();
}

void World::start_coordinator() {
  const SimulatedCoordinator::World theirs{storage_,
                                           directory_,
                                           random_,
                                           tally_,
                                           [this](const std::string& text) { fault(text); },
                                           left_.duplicates > 0};
  coordinators_.push_back({std::make_unique<SimulatedCoordinator>(theirs), 0});
}

SimulatedAgent& World::agent_of(std::int32_t rank) {
  return agents_[agent_of_rank_[static_cast<std::size_t>(rank)]];
}

SimulatedCoordinator* World::announced() const {
  SimulatedCoordinator* named = coordinators_[announced_].process.get();
  return named->serving() ? named : nullptr;
}

// ---- the schedule

void World::run() {
  std::uint64_t idle = 0;
  for (std::uint64_t step = 0; found_.empty(); ++step) {
    if (over(idle)) break;
    if (step > 400'000 || idle > 800) {
      const auto& last = *coordinators_.back().process;
      return fault(std::string("stuck in ") + coordinator::state_name(last.state()) + ": " +
                   last.awaited());
    }
    if (!job_->all_finished() && random_() % 40 == 0) {
      const std::size_t asked = random_() % coordinators_.size();
      if (!stalled(asked)) coordinators_[asked].process->request();
    }
    inject();
    wake();
    if (random_() % 100 == 0) pass_time();
    if (move()) {
      idle = 0;
      continue;
    }
    ++idle;
    pass_time();  // what ticks bring must be enough
  }
  if (found_.empty()) check_end();
}

// The worst moment for one that stood still is another's commit.
void World::wake() {
  const bool committing =
      std::any_of(coordinators_.begin(), coordinators_.end(), [](const auto& c) {
        return c.stalled == 0 && c.process->serving() && c.process->state() == State::commit;
      });
  for (Coordinator& each : coordinators_) {
    each.stalled = std::max(0, each.stalled - 1);
    if (committing && each.stalled < 3500 && random_() % 30 == 0) each.stalled = 0;
  }
}

// One thing, of whichever is picked; false: after a fair search nothing could.
bool World::move() {
  const std::size_t ranks = agent_of_rank_.size(), agents = agents_.size();
  const std::size_t links = connections_.size(), coordinators = coordinators_.size();
  const std::size_t kinds = ranks + 2 * agents + 4 * links + coordinators;
  const std::size_t first = random_() % kinds;
  for (std::size_t i = 0; i < kinds; ++i) {
    std::size_t pick = (first + i) % kinds;
    if (pick < ranks) {
      if (move(static_cast<std::int32_t>(pick))) return true;
      continue;
    }
    pick -= ranks;
    if (pick < 2 * agents) {
      const std::size_t agent = pick / 2;
      if (agents_[agent].alive() && (pick % 2 == 0 ? agents_[agent].work() : connect(agent))) {
        return true;
      }
      continue;
    }
    pick -= 2 * agents;
    if (pick < 4 * links) {
      if (move(connections_[pick / 4], pick % 4)) return true;
      continue;
    }
    pick -= 4 * links;
    SimulatedCoordinator& process = *coordinators_[pick].process;
    if (!process.alive() || stalled(pick)) continue;
    if (random_() % 2 == 0 && process.send_targets()) return true;
    const bool before = process.serving();
    if (!process.storage_step() && !process.send_targets()) continue;
    if (!before && process.serving()) announced_ = pick;
    return true;
  }
  return false;
}

bool World::move(Connection& connection, std::size_t what) {
  Link& link = *connection.link;
  SimulatedAgent& agent = agents_[connection.agent];
  const bool agents_own = agent.link() == connection.link;
  const bool asleep = stalled(connection.coordinator);
  SimulatedCoordinator& process = *coordinators_[connection.coordinator].process;
  // Old frames take their time, so that some come behind the new hello.
  const bool slow = link.cut && random_() % 64 != 0;
  switch (what) {
    case 0: return !asleep && !slow && process.read(link);
    case 1: return agents_own && agent.read();
    case 2: return !asleep && !slow && random_() % 4 == 0 && process.notice(link);
    default:
      if (!agents_own || link.silent || (!link.cut && link.coordinator_open)) return false;
      if (random_() % 4 != 0) return false;
      agent.lose_coordinator();
      return true;
  }
}

// The rank goes on, or its channel carries a frame.
bool World::move(std::int32_t rank) {
  SimulatedAgent& agent = agent_of(rank);
  if (job_->gone(rank)) return false;
  if (agent.alive() && random_() % 2 == 0 && agent.carry(rank)) return true;
  const bool moved = job_->move(rank);
  const bool said = agent.collect(rank);
  return moved || said || (agent.alive() && agent.carry(rank));
}

bool World::connect(std::size_t number) {
  SimulatedAgent& agent = agents_[number];
  if (agent.connected() || announced() == nullptr || random_() % 4 != 0) return false;
  const LinkPointer link = agent.connect(announced()->office().number);
  announced()->accept(link);
  std::erase_if(connections_, [](const Connection& each) {
    return !each.link->agent_open && !each.link->coordinator_open;
  });
  connections_.push_back({link, number, announced_});
  return true;
}

void World::pass_time() {
  for (std::size_t i = 0; i < coordinators_.size(); ++i) {
    if (!stalled(i)) coordinators_[i].process->tick();
    coordinators_[i].stalled = std::max(0, coordinators_[i].stalled - 10);
  }
  for (const Connection& each : connections_) {
    SimulatedAgent& agent = agents_[each.agent];
    if (agent.link() != each.link) continue;
    agent.tick(each.link->whole() && !stalled(each.coordinator));
  }
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    if (!agents_[i].alive() && !lost_[i] && random_() % 4 == 0) agents_[i].start();
  }
  const bool starting = std::any_of(coordinators_.begin(), coordinators_.end(), [](const auto& c) {
    return c.process->alive() && !c.process->serving();
  });
  if (announced() == nullptr && !starting && random_() % 4 == 0) start_coordinator();
}

bool World::quiet() const {
  for (std::size_t i = 0; i < coordinators_.size(); ++i) {
    const Coordinator& each = coordinators_[i];
    if (each.process->alive() && (stalled(i) || !each.process->idle())) return false;
  }
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    if (lost_[i]) continue;
    if (!agents_[i].alive() || !agents_[i].idle() || !agents_[i].connected()) return false;
  }
  return std::all_of(connections_.begin(), connections_.end(), [](const Connection& each) {
    const Link& link = *each.link;
    const bool ended = !link.agent_open && !link.coordinator_open;
    return ended || (link.whole() && link.up.empty() && link.down.empty());
  });
}

bool World::over(std::uint64_t idle) const {
  if (!quiet() || announced() == nullptr) return false;
  return job_->all_finished() || (node_lost_ && idle > 60);
}

}  // namespace ckpt::simulation
