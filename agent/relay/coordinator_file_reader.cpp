#include "agent/relay/coordinator_file_reader.hpp"

#include <boost/asio/post.hpp>
#include <exception>
#include <mutex>
#include <thread>

namespace ckpt::relay {

struct CoordinatorFileReader::State {
  std::string path;
  std::mutex mutex;                       // of the next one
  boost::asio::io_context* io = nullptr;  // nullptr: nobody asks any more
  Done done;                              // the io_context's thread alone

  static void deliver(const std::shared_ptr<State>& state, Result<wire::CoordinatorAddress> got) {
    const std::lock_guard lock(state->mutex);
    if (state->io == nullptr) return;
    boost::asio::post(*state->io, [state, got = std::move(got)] {
      if (state->done) state->done(got);
    });
  }
};

CoordinatorFileReader::CoordinatorFileReader(boost::asio::io_context& io, const std::string& path,
                                             Done done)
    : state_(std::make_shared<State>()) {
  state_->path = path;
  state_->io = &io;
  state_->done = std::move(done);
}

CoordinatorFileReader::~CoordinatorFileReader() {
  state_->done = nullptr;
  const std::lock_guard lock(state_->mutex);
  state_->io = nullptr;
}

void CoordinatorFileReader::read() {
  try {
    std::thread([state = state_] {
      State::deliver(state, wire::read_coordinator_file(state->path));
    }).detach();
  } catch (const std::exception& problem) {
    State::deliver(state_, fail("read", state_->path, problem.what(), EAGAIN));
  }
}

}  // namespace ckpt::relay
