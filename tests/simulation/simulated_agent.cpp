#include "tests/simulation/simulated_agent.hpp"

#include <algorithm>
#include <utility>

namespace ckpt::simulation {

// ---- a connection

void Link::say_up(const wire::Message& message) {
  if (!cut && coordinator_open) up.push_back(*wire::encode(message));
}

void Link::say_down(const wire::Message& message) {
  if (!cut && agent_open) down.push_back(*wire::encode(message));
}

wire::Message Link::open(Frames& frames) {
  const std::vector<std::uint8_t> frame = std::move(frames.front());
  frames.pop_front();
  wire::FrameReader reader;
  reader.append(frame);
  return **reader.next();
}

void Link::lose(std::mt19937_64& random) {
  up.resize(random() % (up.size() + 1));
  down.resize(random() % (down.size() + 1));
}

// ---- its life

void SimulatedAgent::start() {
  alive_ = true;
  relay_ = {};
  to_rank_.clear();
  from_rank_.clear();
  for (const std::int32_t rank : ranks) {
    ckpt_hello hello{};
    hello.rank = rank;
    hello.world_size = world_.job.world_size();
    hello.pid = 100 + rank;
    feed(relay::RankHello{hello});
    if (world_.job.finished(rank)) from_rank_[rank].push_back(relay::FinalizingFrame{});
  }
}

void SimulatedAgent::die() {
  alive_ = false;
  if (link_) {
    link_->agent_open = false;
    link_->lose(world_.random);
    link_.reset();
  }
  works_.clear();
  due_.clear();
  frozen_.reset();
  written_.clear();  // the file stays
  for (const std::int32_t rank : ranks) {
    world_.job.take_outbox(rank);
    world_.job.resume(rank);
  }
}

LinkPointer SimulatedAgent::connect(std::uint64_t incarnation) {
  link_ = std::make_shared<Link>();
  welcomed_ = false;
  silence_ = {};
  link_->say_up(wire::AgentHello{wire::kProtocolVersion, node_, 1, incarnation});
  return link_;
}

void SimulatedAgent::lose_coordinator() {
  if (!link_) return;
  link_->agent_open = false;
  link_->down.clear();
  link_.reset();
  if (welcomed_) feed(relay::CoordinatorLost{});
  welcomed_ = false;
}

bool SimulatedAgent::read() {
  if (!link_ || link_->down.empty()) return false;
  silence_.heard();
  const wire::Message message = Link::open(link_->down);
  if (std::holds_alternative<wire::AgentWelcome>(message)) {
    if (welcomed_) {
      lose_coordinator();  // a second one ends the connection
      return true;
    }
    welcomed_ = true;
    feed(relay::CoordinatorUp{});
  } else if (!welcomed_) {
    world_.fault("a message before AgentWelcome");
  } else {
    feed(relay::CoordinatorSaid{message});
  }
  return true;
}

void SimulatedAgent::tick(bool heard) {
  if (!link_) return;
  if (heard) {
    silence_.heard();
  } else if (silence_.tick()) {
    lose_coordinator();
  }
}

bool SimulatedAgent::idle() const {
  const auto empty = [](const auto& queue) { return queue.second.empty(); };
  return works_.empty() && due_.empty() && std::all_of(to_rank_.begin(), to_rank_.end(), empty) &&
         std::all_of(from_rank_.begin(), from_rank_.end(), empty);
}

// ---- what RelayState wants done

void SimulatedAgent::feed(const relay::Event& event) {
  for (relay::Action& action : relay_.step(event)) {
    std::visit([&](auto& held) { perform(held); }, action);
  }
}

void SimulatedAgent::say(const wire::Message& message) {
  if (link_) link_->say_up(message);
}

void SimulatedAgent::perform(relay::ToRank& action) {
  to_rank_[action.rank].push_back(std::move(action.order));
}
void SimulatedAgent::perform(const relay::ToCoordinator& action) { say(action.message); }
void SimulatedAgent::perform(const relay::Freeze& action) {
  works_.push_back({Work::freeze, action.order, action.order.generation, false});
}
void SimulatedAgent::perform(const relay::Write& action) {
  works_.push_back({Work::write, {}, action.generation, false});
}
void SimulatedAgent::perform(const relay::DropSnapshot& action) {
  works_.clear();  // what it has not begun it will not begin
  works_.push_back({Work::drop, {}, action.generation, action.committed});
}
void SimulatedAgent::perform(const relay::AnswerHoldUp& action) {
  wire::HoldUpAnswer answer{action.query.generation, action.query.query, 0, 0, {}};
  for (const std::int32_t rank : action.awaited) {
    answer.ranks.push_back(world_.job.activity(rank));
    ++answer.awaited;
    if (!answer.ranks.back().inside.empty()) ++answer.blocked;
  }
  say(answer);
}
void SimulatedAgent::perform(const relay::EndAgent&) { world_.fault("nobody ended the job"); }
void SimulatedAgent::perform(const relay::CallForNews&) { due_.push_back(relay::NewsDue{}); }

// ---- one thing at a time

bool SimulatedAgent::work() {
  if (!works_.empty() && (due_.empty() || world_.random() % 2 == 0)) {
    const Work work = std::move(works_.front());
    works_.pop_front();
    do_work(work);
    return true;
  }
  if (due_.empty()) return false;
  const relay::Event event = std::move(due_.front());
  due_.pop_front();
  feed(event);
  return true;
}

void SimulatedAgent::do_work(const Work& work) {
  switch (work.kind) {
    case Work::freeze:
      order_ = work.order;
      frozen_.emplace();
      for (const std::int32_t rank : ranks) (*frozen_)[rank] = world_.job.save(rank);
      due_.push_back(relay::Frozen{work.generation, 1, 8});
      return;
    case Work::write: {
      if (!frozen_ || order_.generation != work.generation) return;
      const std::string text = "part " + std::to_string(world_.snapshots.size());
      world_.snapshots.push_back(std::move(*frozen_));
      frozen_.reset();
      written_ = order_.partial_path;
      if (!world_.storage.write(world_.storage, written_, text)) world_.fault("not written");
      due_.push_back(relay::WriteProgress{4, 8});
      due_.push_back(relay::Written{work.generation, written_, 8});
      return;
    }
    case Work::drop:
      frozen_.reset();
      if (!work.committed && !written_.empty()) {
        static_cast<void>(world_.storage.unlink(written_));
      }
      written_.clear();
  }
}

bool SimulatedAgent::collect(std::int32_t rank) {
  std::vector<relay::ShimFrame> said = world_.job.take_outbox(rank);
  if (!alive_) return false;
  for (relay::ShimFrame& frame : said) from_rank_[rank].push_back(std::move(frame));
  return !said.empty();
}

bool SimulatedAgent::carry(std::int32_t rank) {
  auto& up = from_rank_[rank];
  auto& down = to_rank_[rank];
  if (!up.empty() && (down.empty() || world_.random() % 2 == 0)) {
    const relay::RankSaid said{rank, std::move(up.front())};
    up.pop_front();
    feed(said);
    return true;
  }
  if (down.empty()) return false;
  world_.job.tell(rank, down.front());
  down.pop_front();
  collect(rank);
  return true;
}

}  // namespace ckpt::simulation
