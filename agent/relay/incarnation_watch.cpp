#include "agent/relay/incarnation_watch.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ckpt::relay {

struct IncarnationWatch::State {
  static constexpr std::chrono::seconds kEvery{2};

  boost::asio::io_context* io = nullptr;
  std::string job_directory;
  Incarnation mine;
  std::function<void()> superseded;

  std::mutex mutex;
  std::condition_variable ended;
  bool ending = false;

  void run() {
    for (;;) {
      const bool over = ckpt::superseded(job_directory, mine);
      std::unique_lock lock(mutex);
      if (ending) return;
      if (over) return boost::asio::post(*io, superseded);
      if (ended.wait_for(lock, kEvery, [this] { return ending; })) return;
    }
  }
};

IncarnationWatch::IncarnationWatch(boost::asio::io_context& io, const std::string& job_directory,
                                   const Incarnation& mine, std::function<void()> superseded)
    : state_(std::make_shared<State>()) {
  if (!mine.known()) return;
  state_->io = &io;
  state_->job_directory = job_directory;
  state_->mine = mine;
  state_->superseded = std::move(superseded);
  std::thread([state = state_] { state->run(); }).detach();
}

IncarnationWatch::~IncarnationWatch() {
  const std::lock_guard lock(state_->mutex);
  state_->ending = true;
  state_->ended.notify_all();
}

}  // namespace ckpt::relay
