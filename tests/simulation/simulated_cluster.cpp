#include "tests/simulation/simulated_cluster.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "tests/simulation/counted_memory.hpp"

namespace ckpt::simulation::scale {
namespace {

constexpr std::uint32_t kCoordinator = 1;
constexpr std::size_t kReadAtOnce = 16384;  // as the coordinator's connections do
constexpr std::size_t kReadyAtOnce = 64;    // connections; its loop asks for up to 128

std::uint32_t party_of(std::uint32_t agent) { return 2 + agent; }

wire::Message next_message(wire::FrameReader& reader) {
  auto next = reader.next();
  return next && *next ? std::move(**next) : wire::Message();
}

bool is_message(const wire::Message& message) {
  return !std::holds_alternative<std::monostate>(message);
}

}  // namespace

SimulatedCluster::SimulatedCluster(const Shape& shape)
    : traffic_(shape), ranks_(traffic_), random_(shape.seed) {
  agents_.resize(static_cast<std::size_t>(shape.nodes));
  readers_.resize(agents_.size());
  // What `run` was started with goes to every agent with Snapshot.
  for (int i = 0; i < 60; ++i) {
    environment_.push_back("VARIABLE_" + std::to_string(i) + "=" + std::string(60, 'x'));
  }
}

void SimulatedCluster::start_counting() {
  cost_ = {};
  forget_peak(kCoordinator);
  for (std::uint32_t i = 0; i < agents_.size(); ++i) {
    forget_peak(party_of(i));
    agents_[i].shims = {};
    agents_[i].seconds = 0;
  }
}

Cost SimulatedCluster::cost() {
  cost_.coordinator_bytes = account(kCoordinator).peak_bytes;
  cost_.coordinator_blocks = account(kCoordinator).peak_blocks;
  for (std::uint32_t i = 0; i < agents_.size(); ++i) {
    const Agent& agent = agents_[i];
    if (agent.shims.messages >= cost_.busiest_shims.messages) cost_.busiest_shims = agent.shims;
    cost_.busiest_agent_seconds = std::max(cost_.busiest_agent_seconds, agent.seconds);
    cost_.agents_seconds += agent.seconds;
    cost_.busiest_agent_bytes =
        std::max(cost_.busiest_agent_bytes, account(party_of(i)).peak_bytes);
  }
  return cost_;
}

Cost SimulatedCluster::arrive() {
  start_counting();
  for (std::uint32_t i = 0; i < agents_.size(); ++i) {
    {
      const Work work(kCoordinator, cost_.coordinator_seconds);
      session_.agent_joined(i, "node" + std::to_string(i), 1);
    }
    {
      const Work work(party_of(i), agents_[i].seconds);
      feed(agents_[i], relay::CoordinatorUp{});
      for (const std::int32_t rank : traffic_.ranks_of(static_cast<std::int32_t>(i))) {
        feed(agents_[i], relay::RankHello{ranks_.hello(rank)});
      }
    }
    busy_.push_back(i);
  }
  deliver_all();
  cost_.committed = !session_.blocked_by();
  return cost();
}

Cost SimulatedCluster::checkpoint(Change change, Course course) {
  if (generation_ > 0) traffic_.advance(change);
  ranks_.begin_generation(course);
  start_counting();
  {
    const Work work(kCoordinator, cost_.coordinator_seconds);
    carry_out(checkpoint_.step(
        coordinator::Begin{++generation_, session_.world_size(), session_.participants()}));
  }
  deliver_all();
  ranks_.end_generation();
  return cost();
}

// Whoever has something to read, in rounds of random order, until nobody has.
void SimulatedCluster::deliver_all() {
  while (!busy_.empty()) {
    std::vector<std::uint32_t> round;
    round.swap(busy_);
    std::shuffle(round.begin(), round.end(), random_);
    std::size_t read = 0;
    for (const std::uint32_t number : round) {
      run_agent(number);
      run_coordinator(number);
      if (++read % kReadyAtOnce == 0) send_due_targets();
    }
    send_due_targets();
  }
}

// ---- an agent

void SimulatedCluster::run_agent(std::uint32_t number) {
  Agent& agent = agents_[number];
  {
    const Work work(party_of(number), agent.seconds);
    read_frames(agent);
  }
  while (!agent.orders.empty() || !agent.due.empty()) {
    std::vector<Said> said;
    for (const relay::ToRank& order : agent.orders) ranks_.tell(order.rank, order.order, said);
    const Work work(party_of(number), agent.seconds);
    std::vector<relay::ToRank>().swap(agent.orders);
    hear_ranks(agent, said);
    report_due(agent);
  }
}

void SimulatedCluster::read_frames(Agent& agent) {
  for (const Frame& frame : std::exchange(agent.to_agent, {})) {
    agent.reader.append(frame);
    for (wire::Message message = next_message(agent.reader); is_message(message);
         message = next_message(agent.reader)) {
      if (const auto* it = std::get_if<wire::Snapshot>(&message)) {
        agent.partial_path = it->partial_path;
      }
      feed(agent, relay::CoordinatorSaid{std::move(message)});
    }
  }
}

void SimulatedCluster::hear_ranks(Agent& agent, const std::vector<Said>& said) {
  for (const Said& each : said) {
    agent.shims.add(sizeof(ckpt_frame) + each.payload.size());
    auto frame = relay::parse_shim_frame(each.type, each.payload);
    if (frame) feed(agent, relay::RankSaid{each.rank, std::move(*frame)});
  }
}

void SimulatedCluster::report_due(Agent& agent) {
  for (const relay::Event& event : std::exchange(agent.due, {})) feed(agent, event);
}

void SimulatedCluster::feed(Agent& agent, const relay::Event& event) {
  for (relay::Action& action : agent.relay.step(event)) {
    std::visit([&](auto& held) { perform(agent, held); }, action);
  }
}

void SimulatedCluster::perform(Agent& agent, relay::ToRank& action) {
  agent.shims.add(relay::encode_order(action.order).size());
  agent.orders.push_back(std::move(action));
}

void SimulatedCluster::perform(Agent& agent, const relay::ToCoordinator& action) {
  agent.to_coordinator.push_back(encoded(action.message, cost_.up));
}

void SimulatedCluster::perform(Agent& agent, const relay::Freeze& action) {
  agent.due.emplace_back(relay::Frozen{action.order.generation, 1'000'000, 1 << 30});
}

void SimulatedCluster::perform(Agent& agent, const relay::Write& action) {
  agent.due.emplace_back(relay::WriteProgress{1 << 29, 1 << 30});
  agent.due.emplace_back(relay::Written{action.generation, agent.partial_path, 1 << 30});
}

// ---- the coordinator, as Server carries out its steps

void SimulatedCluster::run_coordinator(std::uint32_t number) {
  std::vector<Frame> frames = std::exchange(agents_[number].to_coordinator, {});
  const Work work(kCoordinator, cost_.coordinator_seconds);
  wire::FrameReader& reader = readers_[number];
  for (Frame& frame : frames) {
    for (std::size_t at = 0; at < frame.size(); at += kReadAtOnce) {
      const std::size_t bytes = std::min(kReadAtOnce, frame.size() - at);
      reader.append({frame.data() + at, bytes});
      for (wire::Message message = next_message(reader); is_message(message);
           message = next_message(reader)) {
        session_.step(number, message);
        carry_out(checkpoint_.step(coordinator::FromAgent{number, message}));
      }
    }
    Frame().swap(frame);
  }
}

void SimulatedCluster::send_due_targets() {
  if (!std::exchange(targets_due_, false)) return;
  const Work work(kCoordinator, cost_.coordinator_seconds);
  carry_out(checkpoint_.step(coordinator::TargetsDue{}));
}

void SimulatedCluster::carry_out(coordinator::Actions actions) {
  for (coordinator::Action& action : actions) {
    std::visit([this](const auto& held) { perform(held); }, action);
    action = coordinator::Action();
  }
}

void SimulatedCluster::perform(const coordinator::Send& action) {
  send(action.agent, action.message);
}

void SimulatedCluster::perform(const coordinator::OrderSnapshot& action) {
  wire::Snapshot snapshot;
  snapshot.generation = checkpoint_.generation();
  snapshot.partial_path =
      "/scratch/user/.ckpt-coord/job/gen-000001.node-" + action.node + ".h5.i1-1.partial";
  snapshot.job = "job";
  snapshot.command = {"mpirun", "./program", "input"};
  snapshot.environment = environment_;
  snapshot.cwd = "/scratch/user/case";
  snapshot.world_size = session_.world_size();
  send(action.agent, snapshot);
}

void SimulatedCluster::perform(const coordinator::Commit&) {
  carry_out(checkpoint_.step(coordinator::CommitEnded{true, ""}));
}

void SimulatedCluster::perform(const coordinator::Ended& action) {
  cost_.committed = action.verdict == wire::Verdict::committed;
}

// Nothing is read before the step is over: the whole of it waits in queues.
void SimulatedCluster::send(std::uint32_t agent, const wire::Message& message) {
  std::vector<Frame>& queue = agents_[agent].to_agent;
  if (queue.empty()) busy_.push_back(agent);
  queue.push_back(encoded(message, cost_.down));
}

SimulatedCluster::Frame SimulatedCluster::encoded(const wire::Message& message, Count& direction) {
  Frame frame = std::move(*wire::encode(message));
  direction.add(frame.size());
  cost_.kinds[wire::message_name(message)].add(frame.size());
  return frame;
}

}  // namespace ckpt::simulation::scale
