// An agent of a node that is not there: the real relay and the real connection,
// ranks that answer at once, and a node's file with a page for each of them.
//
// Purpose: many of them in one process, against a real coordinator.
// Ownership: shared by the crowd and by what it has under way; `Surroundings`
//   outlive it. Threads: the io_context's one; files are written by `writers`.
// Errors: what a rank is told wrongly counts in Counts::faults.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/relay/coordinator_link.hpp"
#include "agent/relay/relay_state.hpp"

namespace ckpt::scale {

struct Counts {
  std::size_t connected = 0;  // agents that were welcomed and are still connected
  std::size_t lost = 0;       // connections that the coordinator, or a failure, ended
  std::size_t held = 0;       // agents that do not answer, since they were asked (Hold)
  std::size_t writing = 0;    // files
  std::size_t told_to_end = 0;
  std::size_t faults = 0;
};

struct Surroundings {
  boost::asio::io_context& io;
  boost::asio::thread_pool& writers;
  EventLog& log;
  std::string job_directory;
  std::uint64_t incarnation = 0;
  std::vector<std::uint64_t> sent;   // by rank: messages to the next one
  std::vector<std::uint64_t> begun;  // by rank: collectives of MPI_COMM_WORLD
  Counts counts;
  std::function<void()> changed;  // counts have
};

struct Node {
  std::string name;
  std::int32_t first_rank = 0, ranks = 0;
};

// At which order an agent stops to answer.
enum class Hold : std::uint8_t { never, at_cut, at_write };

class SimulatedAgent : public std::enable_shared_from_this<SimulatedAgent> {
 public:
  using Pointer = std::shared_ptr<SimulatedAgent>;
  SimulatedAgent(Surroundings& around, const Node& node) : around_(around), node_(node) {}

  void start();
  // As killed: its connection ends without a word.
  void die();
  void hold(Hold when) { hold_ = when; }
  bool idle() const { return relay_.phase() == relay::RelayState::Phase::idle; }
  const std::string& node() const { return node_.name; }

 private:
  void feed(relay::Event event);
  void say(std::int32_t rank, relay::ShimFrame frame);
  void perform(const relay::ToRank& action);
  void perform(const relay::ToCoordinator& action) { link_->send(action.message); }
  void perform(const relay::Freeze& action);
  void perform(const relay::Write& action);
  void perform(const relay::DropSnapshot& action);
  void perform(const relay::AnswerHoldUp& action);
  void perform(const relay::EndAgent& action);
  void perform(const relay::CallForNews& action);
  void post(relay::Event event);
  void written(std::uint64_t generation, const Result<std::uint64_t>& bytes);
  void up();
  void disconnected();
  bool holds(Hold when);
  void answer_quiesce(std::int32_t rank, std::uint64_t generation);
  void answer_drain(std::int32_t rank, const relay::ShimOrder& order);
  std::vector<std::int32_t> ranks() const;
  std::size_t before(std::int32_t rank) const;

  Surroundings& around_;
  const Node node_;
  std::shared_ptr<relay::CoordinatorLink> link_;
  relay::RelayState relay_;
  std::deque<relay::Event> events_;
  bool feeding_ = false, connected_ = false, dead_ = false, held_ = false;
  Hold hold_ = Hold::never;
  wire::Snapshot order_;
  std::string written_path_;  // whole, and not committed yet
};

}  // namespace ckpt::scale
