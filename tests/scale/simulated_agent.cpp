#include "tests/scale/simulated_agent.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "format/image/model.hpp"
#include "tests/scale/node_file.hpp"

namespace ckpt::scale {

namespace asio = boost::asio;

void SimulatedAgent::start() {
  std::weak_ptr<SimulatedAgent> weak = weak_from_this();
  const auto with = [weak](auto what) {
    return [weak, what] {
      if (const Pointer self = weak.lock()) what(*self);
    };
  };
  link_ = std::make_shared<relay::CoordinatorLink>(
      around_.io, around_.log, around_.job_directory, around_.incarnation,
      relay::CoordinatorLink::Callbacks{with([](SimulatedAgent& self) { self.up(); }),
                                        with([](SimulatedAgent& self) {
                                          ++self.around_.counts.lost;
                                          self.disconnected();
                                          self.feed(relay::CoordinatorLost{});
                                        }),
                                        [](bool) {},
                                        [weak](wire::Message message) {
                                          if (const Pointer self = weak.lock())
                                            self->feed(relay::CoordinatorSaid{std::move(message)});
                                        }},
      node_.name);
  for (const std::int32_t rank : ranks()) {
    ckpt_hello hello{};
    hello.version = CKPT_SHIM_CHANNEL_VERSION;
    hello.rank = rank;
    hello.world_size = static_cast<std::int32_t>(around_.sent.size());
    hello.pid = 1000 + rank;
    feed(relay::RankHello{hello});
  }
  link_->start();
}

void SimulatedAgent::up() {
  connected_ = true;
  ++around_.counts.connected;
  feed(relay::CoordinatorUp{});
  around_.changed();
}

void SimulatedAgent::disconnected() {
  if (std::exchange(connected_, false)) --around_.counts.connected;
  around_.changed();
}

void SimulatedAgent::die() {
  dead_ = true;
  link_->stop();
  disconnected();
}

// What an action brings about comes after it, as in an agent's loop.
void SimulatedAgent::feed(relay::Event event) {
  if (dead_) return;
  events_.push_back(std::move(event));
  if (std::exchange(feeding_, true)) return;
  const bool was_idle = idle();
  while (!events_.empty() && !dead_) {
    const relay::Event next = std::move(events_.front());
    events_.pop_front();
    for (const relay::Action& action : relay_.step(next)) {
      std::visit([this](const auto& one) { perform(one); }, action);
    }
  }
  feeding_ = false;
  if (idle() != was_idle) around_.changed();
}

void SimulatedAgent::post(relay::Event event) {
  asio::post(around_.io, [self = shared_from_this(), event = std::move(event)]() mutable {
    self->feed(std::move(event));
  });
}

void SimulatedAgent::say(std::int32_t rank, relay::ShimFrame frame) {
  feed(relay::RankSaid{rank, std::move(frame)});
}

bool SimulatedAgent::holds(Hold when) {
  if (hold_ != when) return false;
  if (!std::exchange(held_, true)) {
    ++around_.counts.held;
    around_.changed();
  }
  return true;
}

// ---- what ranks do

void SimulatedAgent::perform(const relay::ToRank& action) {
  const relay::ShimOrder& order = action.order;
  switch (order.type) {
    case CKPT_FRAME_QUIESCE: return answer_quiesce(action.rank, order.generation);
    case CKPT_FRAME_TARGETS: {
      std::uint64_t& begun = around_.begun[static_cast<std::size_t>(action.rank)];
      for (const ckpt_clock& clock : order.clocks) {
        if (clock.gid == 1) begun = std::max(begun, clock.count);
      }
      return say(action.rank, relay::LevelFrame{order.generation, order.version});
    }
    case CKPT_FRAME_CUT: {
      if (holds(Hold::at_cut)) return;
      const auto world = static_cast<std::int32_t>(around_.sent.size());
      std::uint64_t& sent = around_.sent[static_cast<std::size_t>(action.rank)];
      ++sent;
      return say(action.rank,
                 relay::SentFrame{order.generation, {{(action.rank + 1) % world, 0, sent}}});
    }
    case CKPT_FRAME_DRAIN: return answer_drain(action.rank, order);
    default: return;  // it goes on
  }
}

// Some are a collective or two ahead of the others.
void SimulatedAgent::answer_quiesce(std::int32_t rank, std::uint64_t generation) {
  std::uint64_t& begun = around_.begun[static_cast<std::size_t>(rank)];
  begun += static_cast<std::uint64_t>(rank % 3);
  const auto world = static_cast<std::uint32_t>(around_.begun.size());
  const auto of_node = static_cast<std::uint64_t>(2 + node_.first_rank);
  say(rank, relay::ClocksFrame{
                generation,
                {{1, begun, world, 0}, {of_node, 7, static_cast<std::uint32_t>(node_.ranks), 0}}});
}

// One channel leads here: from the rank before.
void SimulatedAgent::answer_drain(std::int32_t rank, const relay::ShimOrder& order) {
  const bool right = order.markers.size() == 1 &&
                     static_cast<std::size_t>(order.markers[0].peer) == before(rank) &&
                     order.markers[0].count == around_.sent[before(rank)];
  if (!right) ++around_.counts.faults;
  say(rank, relay::DrainedFrame{order.generation, 1, 8});
}

std::size_t SimulatedAgent::before(std::int32_t rank) const {
  return rank == 0 ? around_.sent.size() - 1 : static_cast<std::size_t>(rank - 1);
}

std::vector<std::int32_t> SimulatedAgent::ranks() const {
  std::vector<std::int32_t> all;
  for (std::int32_t i = 0; i < node_.ranks; ++i) all.push_back(node_.first_rank + i);
  return all;
}

// ---- what the agent does

void SimulatedAgent::perform(const relay::Freeze& action) {
  order_ = action.order;
  const auto bytes = static_cast<std::uint64_t>(node_.ranks) * image::kPageSize;
  post(relay::Frozen{order_.generation, 1'000'000, bytes});
}

void SimulatedAgent::perform(const relay::Write& action) {
  if (holds(Hold::at_write)) return;
  ++around_.counts.writing;
  asio::post(around_.writers, [self = shared_from_this(), order = order_, action] {
    auto bytes = write_node_file(order, self->node_.name, self->ranks());
    asio::post(self->around_.io, [self, action, bytes = std::move(bytes)] {
      self->written(action.generation, bytes);
    });
  });
}

void SimulatedAgent::written(std::uint64_t generation, const Result<std::uint64_t>& bytes) {
  --around_.counts.writing;
  const bool wanted = !dead_ && relay_.phase() == relay::RelayState::Phase::writing &&
                      relay_.generation() == generation;
  if (!bytes) {
    feed(relay::SnapshotFailed{generation, -1, false, bytes.error().message()});
  } else if (wanted) {
    written_path_ = order_.partial_path;
    feed(relay::Written{generation, written_path_, *bytes});
  } else if (order_.generation == generation) {
    ::unlink(order_.partial_path.c_str());  // the generation was given up meanwhile
  }
  around_.changed();
}

void SimulatedAgent::perform(const relay::DropSnapshot& action) {
  if (!action.committed && !written_path_.empty()) ::unlink(written_path_.c_str());
  written_path_.clear();
}

void SimulatedAgent::perform(const relay::AnswerHoldUp& action) {
  wire::HoldUpAnswer answer{action.query.generation, action.query.query, 0, 0, {}};
  for (const std::int32_t rank : action.awaited) {
    ++answer.awaited;
    if (answer.ranks.size() < 4) answer.ranks.push_back(wire::RankActivity{rank});
  }
  link_->send(answer);
}

void SimulatedAgent::perform(const relay::EndAgent&) {
  ++around_.counts.told_to_end;
  die();
}

void SimulatedAgent::perform(const relay::CallForNews&) { post(relay::NewsDue{}); }

}  // namespace ckpt::scale
