#include "agent/snapshot/node_snapshot.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <semaphore>
#include <thread>

#include "agent/pages/payload_stream.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt::snapshot {
namespace {

// Two streams keep a disk busy while one of them reads; more only fight for it.
constexpr int kStreamsAtOnce = 2;

// Files below /proc answer ENOENT; only for a process that exists it means something else.
bool is_gone(int pid, const Error& error) {
  return error.code == ESRCH || (::kill(pid, 0) != 0 && errno == ESRCH);
}

}  // namespace

// Where the ranks wait for each other; failed ranks come too, so that none waits forever.
class NodeSnapshot::Meeting {
 public:
  explicit Meeting(std::size_t ranks) : ranks_(ranks) {}

  bool all_stopped(bool shared) {
    std::unique_lock lock(mutex_);
    shared_ = shared_ || shared;
    arrive(lock, stopped_);
    return shared_;
  }
  void all_copied() {
    std::unique_lock lock(mutex_);
    arrive(lock, copied_);
  }

 private:
  void arrive(std::unique_lock<std::mutex>& lock, std::size_t& count) {
    ++count;
    changed_.notify_all();
    changed_.wait(lock, [&] { return count >= ranks_; });
  }

  const std::size_t ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t stopped_ = 0, copied_ = 0;
  bool shared_ = false;
};

// What another thread than a copy's tracer may do with it: kill it. The tracer may be
// stuck in a write, and takes the end of its copy later. A pidfd never means another.
class NodeSnapshot::Copies {
 public:
  void add(int pid) {
    UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const std::lock_guard lock(mutex_);
    if (killed_) kill(copy);
    copies_.push_back(std::move(copy));
  }
  void kill_all() {
    const std::lock_guard lock(mutex_);
    killed_ = true;
    for (const UniqueFd& copy : copies_) kill(copy);
  }

 private:
  static void kill(const UniqueFd& copy) {
    if (copy) ::syscall(SYS_pidfd_send_signal, copy.get(), SIGKILL, nullptr, 0);
  }

  std::mutex mutex_;
  std::vector<UniqueFd> copies_;
  bool killed_ = false;
};

// The tracer's thread of one rank.
class NodeSnapshot::Worker {
 public:
  Worker(const RankRequest& request, Meeting& meeting, std::counting_semaphore<>& streams,
         Copies& copies, std::atomic<std::uint64_t>& bytes_done, const std::atomic<bool>& cancelled)
      : request_(request),
        meeting_(meeting),
        streams_(streams),
        copies_(copies),
        bytes_done_(bytes_done),
        cancelled_(cancelled),
        thread_([this] { run(); }) {}

  ~Worker() {
    order(nullptr);
    thread_.join();
  }

  const RankRequest& request() const { return request_; }
  Status await_frozen() { return frozen_.get_future().get(); }
  Status await_written() { return written_.get_future().get(); }
  const RankFrozen& result() const { return result_; }

  // Begins to write; nullptr ends the thread without.
  void order(image::GenerationWriter* writer) {
    const std::lock_guard lock(mutex_);
    if (ordered_) return;
    ordered_ = true;
    writer_ = writer;
    changed_.notify_all();
  }

 private:
  void run() {
    auto port = tracee::make_linux_ptrace();
    FrozenRank rank(*port);
    const FreezeMeeting meeting{[this](bool shared) { return meeting_.all_stopped(shared); },
                                [this] { meeting_.all_copied(); }};
    Status status;
    try {
      status = rank.freeze(request_, meeting);
    } catch (const std::exception& error) {  // no memory
      status = fail("snapshot", "", error.what(), ENOMEM);
    }
    if (status && rank.copy_pid() > 0) copies_.add(rank.copy_pid());
    result_ = {request_.rank,
               rank.frozen_ns(),
               rank.plan().pages,
               rank.image().process.threads.size(),
               rank.image().process.regions.size(),
               rank.fork_failure()};
    frozen_.set_value(status);
    image::GenerationWriter* writer = nullptr;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ordered_; });
      writer = writer_;
    }
    if (writer == nullptr) return;
    streams_.acquire();
    try {
      status = write(rank, *writer);
    } catch (const std::exception& error) {
      status = fail("write payload", "", error.what(), ENOMEM);
    }
    streams_.release();
    written_.set_value(status);
  }

  Status write(FrozenRank& rank, image::GenerationWriter& writer) {
    auto offset = writer.reserve_payload(request_.rank, rank.plan().pages);
    if (!offset) return tl::unexpected(offset.error());
    auto file = writer.open_payload();
    if (!file) return tl::unexpected(file.error());
    pages::StreamTarget target;
    target.file = file->get();
    target.offset = *offset;
    target.done = &bytes_done_;
    target.cancelled = &cancelled_;
    auto streamed =
        pages::stream_payload(rank.plan(), rank.reader(), rank.image().process.regions, target);
    if (!streamed) return tl::unexpected(streamed.error());
    return writer.write_rank(rank.image(), streamed->checksums);
  }

  const RankRequest request_;
  Meeting& meeting_;
  std::counting_semaphore<>& streams_;
  Copies& copies_;
  std::atomic<std::uint64_t>& bytes_done_;
  const std::atomic<bool>& cancelled_;
  std::promise<Status> frozen_, written_;
  RankFrozen result_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ordered_ = false;
  image::GenerationWriter* writer_ = nullptr;
  std::thread thread_;  // last: it uses the others
};

NodeSnapshot::NodeSnapshot(std::vector<RankRequest> ranks)
    : requests_(std::move(ranks)),
      meeting_(std::make_unique<Meeting>(requests_.size())),
      streams_(std::make_unique<std::counting_semaphore<>>(kStreamsAtOnce)),
      copies_(std::make_unique<Copies>()) {}

NodeSnapshot::~NodeSnapshot() { cancelled_ = true; }

void NodeSnapshot::cancel() {
  cancelled_ = true;
  copies_->kill_all();
}

tl::expected<std::vector<RankFrozen>, RankFailure> NodeSnapshot::freeze() {
  for (const RankRequest& request : requests_)
    workers_.push_back(
        std::make_unique<Worker>(request, *meeting_, *streams_, *copies_, bytes_done_, cancelled_));
  std::vector<RankFrozen> results;
  tl::expected<std::vector<RankFrozen>, RankFailure> outcome;
  for (auto& worker : workers_) {
    auto status = worker->await_frozen();
    results.push_back(worker->result());
    // What a rank refuses says more than that another one is gone.
    if (!status && (outcome || outcome.error().vanished))
      outcome = tl::unexpected(RankFailure{
          worker->request().rank, is_gone(worker->request().pid, status.error()), status.error()});
  }
  if (!outcome) {
    workers_.clear();
    return outcome;
  }
  return results;
}

tl::expected<void, RankFailure> NodeSnapshot::write(image::GenerationWriter& writer) {
  for (auto& worker : workers_) worker->order(&writer);
  tl::expected<void, RankFailure> outcome;
  for (auto& worker : workers_) {
    auto status = worker->await_written();
    if (status || !outcome) continue;
    cancelled_ = true;  // the others need not go on
    outcome = tl::unexpected(RankFailure{worker->request().rank, false, status.error()});
  }
  workers_.clear();
  return outcome;
}

std::uint64_t NodeSnapshot::upper_bytes() const {
  std::uint64_t pages = 0;
  for (const auto& worker : workers_) pages += worker->result().pages;
  return pages * image::kPageSize;
}

}  // namespace ckpt::snapshot
