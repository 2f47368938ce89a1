// A coordinator and thousands of agents: the real step functions and the real
// codec on simulated ranks, without sockets, processes or time.
//
// Purpose: counts what a generation costs: messages and bytes on each channel,
//   memory of the coordinator and of an agent, CPU time of their steps and codec.
// Ownership: values. Threads: one; one cluster at a time, since accounts are global.
// Units: bytes as encoded (no TLS), CPU seconds.
// Errors: what went wrong is in faults().
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "agent/relay/relay_state.hpp"
#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "coordinator/session_fsm/session_fsm.hpp"
#include "tests/simulation/simulated_ranks.hpp"
#include "tests/simulation/traffic.hpp"

namespace ckpt::simulation::scale {

struct Count {
  std::uint64_t messages = 0, bytes = 0;
  void add(std::uint64_t size) { ++messages, bytes += size; }
};

// What a generation (or the ranks' arrival) has cost.
struct Cost {
  bool committed = false;
  Count up, down;                           // agents to coordinator, and back
  std::map<std::string_view, Count> kinds;  // both, by the message's name
  Count busiest_shims;                      // shims and agent of the node with the most messages
  double coordinator_seconds = 0;
  double busiest_agent_seconds = 0, agents_seconds = 0;
  std::size_t coordinator_bytes = 0, coordinator_blocks = 0;  // at the peak
  std::size_t busiest_agent_bytes = 0;                        // at the peak
};

class SimulatedCluster {
 public:
  explicit SimulatedCluster(const Shape& shape);

  // All agents connect, all ranks say hello.
  Cost arrive();
  // `change`: what the program has done since the last generation.
  Cost checkpoint(Change change, Course course = Course::steady);

  const Traffic& traffic() const { return traffic_; }
  const std::vector<std::string>& faults() const { return ranks_.faults(); }

 private:
  using Frame = std::vector<std::uint8_t>;
  struct Agent {
    relay::RelayState relay;
    wire::FrameReader reader;
    std::vector<Frame> to_agent, to_coordinator;
    std::vector<relay::Event> due;  // what its worker and its loop will report
    std::vector<relay::ToRank> orders;
    std::string partial_path;
    Count shims;
    double seconds = 0;
  };

  void start_counting();
  Cost cost();
  void deliver_all();
  void run_agent(std::uint32_t number);
  void read_frames(Agent& agent);
  void report_due(Agent& agent);
  void hear_ranks(Agent& agent, const std::vector<Said>& said);
  void feed(Agent& agent, const relay::Event& event);
  void perform(Agent& agent, relay::ToRank& action);
  void perform(Agent& agent, const relay::ToCoordinator& action);
  void perform(Agent& agent, const relay::Freeze& action);
  void perform(Agent& agent, const relay::Write& action);
  void perform(Agent&, const relay::DropSnapshot&) {}
  void perform(Agent&, const relay::AnswerHoldUp&) {}
  void perform(Agent&, const relay::EndAgent&) {}
  void perform(Agent& agent, const relay::CallForNews&) {
    agent.due.emplace_back(relay::NewsDue{});
  }

  void run_coordinator(std::uint32_t number);
  void send_due_targets();
  void carry_out(coordinator::Actions actions);
  void perform(const coordinator::Send& action);
  void perform(const coordinator::OrderSnapshot& action);
  void perform(const coordinator::Commit& action);
  void perform(const coordinator::Ended& action);
  void perform(const coordinator::Entered&) {}
  void perform(const coordinator::FlushAdvanced&) {}
  void perform(const coordinator::CallForTargets&) { targets_due_ = true; }
  void send(std::uint32_t agent, const wire::Message& message);
  Frame encoded(const wire::Message& message, Count& direction);

  Traffic traffic_;
  SimulatedRanks ranks_;
  std::mt19937_64 random_;
  std::vector<Agent> agents_;
  std::vector<wire::FrameReader> readers_;  // the coordinator's, one an agent
  std::vector<std::uint32_t> busy_;         // agents with something to read
  coordinator::SessionFsm session_;
  coordinator::CheckpointFsm checkpoint_;
  std::vector<std::string> environment_;
  std::uint64_t generation_ = 0;
  bool targets_due_ = false;
  Cost cost_;
};

}  // namespace ckpt::simulation::scale
