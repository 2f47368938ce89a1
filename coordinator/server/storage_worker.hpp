// File operations on shared storage, in a thread of their own.
//
// Purpose: a rename or fsync that hangs must hang here, and not in the loop that
//   keeps connections, heartbeats and deadlines. What comes of it returns to the
//   loop as an event.
// Ownership: owns its thread. Work runs one after the other, in order.
// Threads: run() from the io_context's thread, `then` runs there too.
// Units: steady clock. Errors: `work` returns them; what it throws (memory)
//   ends the process as it would anywhere else.
// Source: Boost.Asio 1.74, thread_pool.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <deque>
#include <future>
#include <memory>
#include <utility>

namespace ckpt::coordinator {

class StorageWorker {
 public:
  using Clock = std::chrono::steady_clock;
  explicit StorageWorker(boost::asio::io_context& io) : io_(io) {}

  template <typename Work, typename Then>
  void run(Work work, Then then) {
    begun_.push_back(Clock::now());
    boost::asio::post(pool_, [this, work = std::move(work), then = std::move(then)]() mutable {
      auto result = std::make_shared<decltype(work())>(work());
      boost::asio::post(io_, [this, result, then = std::move(then)]() mutable {
        begun_.pop_front();
        // Those behind it have waited for it, not for the storage.
        if (!begun_.empty()) begun_.front() = Clock::now();
        then(std::move(*result));
      });
    });
  }

  // All that was begun has returned within the bound.
  bool settles(std::chrono::milliseconds bound) {
    auto done = std::make_shared<std::promise<void>>();
    auto settled = done->get_future();
    boost::asio::post(pool_, [done] { done->set_value(); });
    return settled.wait_for(bound) == std::future_status::ready;
  }
  // How long the present operation has not answered; zero when there is none.
  Clock::duration waiting(Clock::time_point now) const {
    return begun_.empty() ? Clock::duration::zero() : now - begun_.front();
  }

 private:
  boost::asio::io_context& io_;
  std::deque<Clock::time_point> begun_;
  boost::asio::thread_pool pool_{1};
};

}  // namespace ckpt::coordinator
