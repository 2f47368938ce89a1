// AgentCrowd: the agents of a job of any number of nodes, in one thread.
//
// Purpose: a test says who dies and who stops to answer, and waits for what the
//   crowd has come to. Also strangers: connections that never say a word.
// Ownership: owns its thread and agents. Threads: all functions from the test's.
// Units: seconds. Errors: await() is false when the time is up.
// Source: agent/relay.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "format/log/event_log.hpp"
#include "tests/scale/simulated_agent.hpp"

namespace ckpt::scale {

class AgentCrowd {
 public:
  AgentCrowd(std::string job_directory, std::size_t nodes, std::int32_t ranks_each);
  ~AgentCrowd();

  // Agents of all nodes that have none start, all at once.
  void start();
  // The agents of these nodes are killed; start() brings others.
  void kill(const std::vector<std::size_t>& nodes);
  void hold(const std::vector<std::size_t>& nodes, Hold when);
  // Silent connections to the coordinator, until it closes them.
  void send_strangers(std::size_t count);

  bool await(std::function<bool(const Counts&)> condition, std::chrono::seconds bound);
  // No agent is in the middle of a generation, or writes.
  bool await_idle(std::chrono::seconds bound);
  Counts counts();
  std::size_t strangers_left();
  std::string name_of(std::size_t node) const { return nodes_[node].name; }

 private:
  struct Waiting {
    std::function<bool(const Counts&)> condition;
    std::promise<void> met;
  };
  void changed();
  void do_start();
  void do_strangers(std::size_t count);
  // Runs `what` in the crowd's thread.
  template <typename What>
  auto ask(What what) -> decltype(what());

  boost::asio::io_context io_;
  boost::asio::thread_pool writers_{2};
  EventLog log_;
  std::vector<Node> nodes_;
  Surroundings around_;
  std::map<std::size_t, SimulatedAgent::Pointer> agents_;
  std::list<boost::asio::ip::tcp::socket> strangers_;
  std::list<Waiting> waiting_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace ckpt::scale
