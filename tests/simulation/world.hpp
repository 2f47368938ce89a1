// A whole job in one schedule: ranks, agents, coordinators, storage; and what
// befalls them.
//
// Purpose: one seed, one schedule. Everything that can happen next may; failures
//   come at any point, up to a budget. run() ends when the job is through and all
//   is quiet, or, where a node died, when nothing can move any more.
// What is checked: a generation that becomes visible is whole, of one writer in
//   office, and a consistent cut that runs on to the program's end; it stays so;
//   no number is committed twice; all doors are open at the end; nothing needs a
//   deadline; who asked has an answer.
// Ownership: all its own. Threads: one at a time. Errors: fault(), the test's.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/simulation/simulated_agent.hpp"
#include "tests/simulation/simulated_coordinator.hpp"
#include "tests/simulation/simulated_job.hpp"

namespace ckpt::simulation {

struct Faults {
  int agents = 0;        // die; another one is started
  int links = 0;         // connections cut, both ends alive
  int nodes = 0;         // die for good, with their ranks
  int coordinators = 0;  // die; another one is started
  int usurpers = 0;      // another one is started though the old one lives
  int duplicates = 0;    // a frame arrives twice
  int operations = 60;   // of the program, at least
};

class World {
 public:
  World(std::uint64_t seed, const Faults& faults, const coordinator::JobDirectory& directory);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void run();
  const Tally& tally() const { return tally_; }
  const std::vector<std::string>& faults() const { return found_; }

 private:
  struct Coordinator {
    std::unique_ptr<SimulatedCoordinator> process;
    int stalled = 0;  // for so many steps: it lives and does nothing
  };
  struct Connection {
    LinkPointer link;
    std::size_t agent = 0, coordinator = 0;
  };

  // The schedule.
  bool move();
  bool move(Connection& connection, std::size_t what);
  bool move(std::int32_t rank);
  bool connect(std::size_t agent);
  void pass_time();
  void wake();
  void start_coordinator();
  bool quiet() const;
  bool over(std::uint64_t idle) const;

  // What befalls them.
  void inject();
  void kill_agent(SimulatedAgent& agent);
  void cut(Connection& connection);
  void kill_node(SimulatedAgent& agent);
  void kill_coordinator(Coordinator& coordinator);
  void usurp(Coordinator& coordinator);
  void repeat(Connection& connection);
  void note(const std::string& failure);

  // What must hold.
  void became_visible(std::uint64_t number, const std::string& from,
                      const std::vector<std::string>& parts);
  void check_cut(const std::vector<SavedRank>& saved, const std::string& where);
  void run_on_from(const std::vector<SavedRank>& saved);
  void check_end();
  void check_lost_node();
  void fault(const std::string& text) { found_.push_back(text); }

  SimulatedAgent& agent_of(std::int32_t rank);
  SimulatedCoordinator* announced() const;
  bool stalled(std::size_t coordinator) const { return coordinators_[coordinator].stalled > 0; }

  std::mt19937_64 random_;
  Faults left_;
  Program program_;
  const coordinator::JobDirectory& directory_;
  std::vector<std::string> found_;
  Tally tally_;
  std::unique_ptr<SimulatedJob> job_;
  Snapshots snapshots_;
  SharedStorage storage_;
  std::vector<SimulatedAgent> agents_;
  std::vector<std::size_t> agent_of_rank_;
  std::vector<bool> lost_;  // node, by agent
  std::vector<Connection> connections_;
  std::vector<Coordinator> coordinators_;
  std::size_t announced_ = 0;  // in coordinator.json
  bool node_lost_ = false;
  std::vector<SavedRank> committed_;  // the newest
};

}  // namespace ckpt::simulation
