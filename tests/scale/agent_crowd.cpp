#include "tests/scale/agent_crowd.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "format/incarnation/incarnation.hpp"
#include "format/wire/coordinator_file.hpp"

namespace ckpt::scale {

namespace asio = boost::asio;

namespace {

// What agents say of lost connections is expected here.
EventLog quiet_log() {
  EventLogOptions options;
  options.to_stderr = false;
  options.least = LogLevel::error;
  return std::move(*EventLog::open(options));
}

std::vector<Node> make_nodes(std::size_t count, std::int32_t ranks_each) {
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = static_cast<std::int32_t>(i) * ranks_each;
    nodes.push_back(Node{"node" + std::to_string(i), first, ranks_each});
  }
  return nodes;
}

}  // namespace

AgentCrowd::AgentCrowd(std::string job_directory, std::size_t nodes, std::int32_t ranks_each)
    : log_(quiet_log()),
      nodes_(make_nodes(nodes, ranks_each)),
      around_{io_, writers_, log_, std::move(job_directory), 0, {}, {}, {}, [this] { changed(); }},
      work_(io_.get_executor()) {
  const std::size_t world = nodes * static_cast<std::size_t>(ranks_each);
  around_.sent.resize(world);
  around_.begun.resize(world, 1);
  if (const auto now = read_incarnation(around_.job_directory)) around_.incarnation = now->number;
  thread_ = std::thread([this] { io_.run(); });
}

AgentCrowd::~AgentCrowd() {
  writers_.join();
  asio::post(io_, [this] {
    for (auto& [node, agent] : agents_) agent->die();
    strangers_.clear();
    io_.stop();
  });
  thread_.join();
}

template <typename What>
auto AgentCrowd::ask(What what) -> decltype(what()) {
  auto task = std::make_shared<std::packaged_task<decltype(what())()>>(std::move(what));
  auto answer = task->get_future();
  asio::post(io_, [task] { (*task)(); });
  return answer.get();
}

void AgentCrowd::start() {
  ask([this] { do_start(); });
}

void AgentCrowd::do_start() {
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    SimulatedAgent::Pointer& agent = agents_[node];
    if (agent) continue;
    agent = std::make_shared<SimulatedAgent>(around_, nodes_[node]);
    agent->start();
  }
}

void AgentCrowd::kill(const std::vector<std::size_t>& nodes) {
  ask([&] {
    for (const std::size_t node : nodes) {
      agents_.at(node)->die();
      agents_.erase(node);
    }
  });
}

void AgentCrowd::hold(const std::vector<std::size_t>& nodes, Hold when) {
  ask([&] {
    around_.counts.held = 0;
    for (const std::size_t node : nodes) agents_.at(node)->hold(when);
  });
}

void AgentCrowd::send_strangers(std::size_t count) {
  ask([&] { do_strangers(count); });
}

void AgentCrowd::do_strangers(std::size_t count) {
  const auto address = wire::read_coordinator_file(around_.job_directory + "/coordinator.json");
  if (!address) return;
  const asio::ip::tcp::endpoint where(asio::ip::make_address(address->host), address->port);
  for (std::size_t i = 0; i < count; ++i) {
    const auto stranger = strangers_.emplace(strangers_.end(), io_);
    stranger->async_connect(where, [this, stranger](const auto& error) {
      if (error) return static_cast<void>(strangers_.erase(stranger));
      stranger->async_wait(asio::ip::tcp::socket::wait_read, [this, stranger](const auto&) {
        strangers_.erase(stranger);  // the coordinator has closed it: it never speaks first
        changed();
      });
    });
  }
}

void AgentCrowd::changed() {
  waiting_.remove_if([this](Waiting& each) {
    if (!each.condition(around_.counts)) return false;
    each.met.set_value();
    return true;
  });
}

bool AgentCrowd::await(std::function<bool(const Counts&)> condition, std::chrono::seconds bound) {
  auto met = ask([&] {
    waiting_.push_back(Waiting{std::move(condition), {}});
    auto future = waiting_.back().met.get_future();
    changed();
    return future;
  });
  return met.wait_for(bound) == std::future_status::ready;
}

Counts AgentCrowd::counts() {
  return ask([this] { return around_.counts; });
}

bool AgentCrowd::await_idle(std::chrono::seconds bound) {
  return await(
      [this](const Counts& counts) {
        return counts.writing == 0 && std::all_of(agents_.begin(), agents_.end(),
                                                  [](auto& each) { return each.second->idle(); });
      },
      bound);
}

std::size_t AgentCrowd::strangers_left() {
  return ask([this] { return strangers_.size(); });
}

}  // namespace ckpt::scale
