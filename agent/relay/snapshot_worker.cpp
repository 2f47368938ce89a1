#include "agent/relay/snapshot_worker.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>

#include "format/posix/file_system.hpp"

namespace ckpt::relay {
namespace {

image::JobRecord job_record(const wire::Snapshot& order) {
  image::JobRecord job;
  job.job = order.job;
  job.command = order.command;
  job.environment = order.environment;
  job.cwd = order.cwd;
  job.world_size = order.world_size;
  job.generation = order.generation;
  job.taken_at_ns = order.taken_at_ns;
  job.program_version = order.program_version;
  return job;
}

snapshot::RankFailure own_failure(const Error& error) { return {-1, false, error}; }

}  // namespace

SnapshotWorker::SnapshotWorker(boost::asio::io_context& io, EventLog& log,
                               std::function<void(Event)> report)
    : io_(io), log_(log), report_(std::move(report)) {}

SnapshotWorker::~SnapshotWorker() {
  drop(false);
  pool_.join();
}

void SnapshotWorker::freeze(const wire::Snapshot& order, std::vector<snapshot::RankRequest> ranks) {
  boost::asio::post(pool_, [this, order, ranks = std::move(ranks), ticket = next_ticket_++] {
    try {
      do_freeze(order, ranks, ticket);
    } catch (const std::exception& problem) {
      fail_with(order.generation, own_failure({"snapshot", "", problem.what(), ENOMEM}));
    }
  });
}

void SnapshotWorker::write(std::uint64_t generation) {
  boost::asio::post(pool_, [this, generation] {
    try {
      do_write(generation);
    } catch (const std::exception& problem) {
      fail_with(generation, own_failure({"write generation", "", problem.what(), ENOMEM}));
    }
  });
}

void SnapshotWorker::drop(bool committed) {
  {
    const std::lock_guard lock(mutex_);
    if (snapshot_) snapshot_->cancel();
    dropped_before_ = next_ticket_;
  }
  boost::asio::post(pool_, [this, committed] { do_drop(committed); });
}

std::optional<WriteProgress> SnapshotWorker::progress() const {
  const std::lock_guard lock(mutex_);
  if (!snapshot_ || !writing_) return std::nullopt;
  return WriteProgress{snapshot_->bytes_done(), snapshot_->upper_bytes()};
}

void SnapshotWorker::do_freeze(const wire::Snapshot& order,
                               const std::vector<snapshot::RankRequest>& ranks,
                               std::uint64_t ticket) {
  order_ = order;
  rank_count_ = ranks.size();
  auto snapshot = std::make_shared<snapshot::NodeSnapshot>(ranks);
  {
    const std::lock_guard lock(mutex_);
    if (ticket < dropped_before_) return;
    snapshot_ = snapshot;
  }
  auto frozen = snapshot->freeze();
  if (!frozen) return fail_with(order.generation, frozen.error());
  std::int64_t longest = 0;
  for (const snapshot::RankFrozen& rank : *frozen) {
    longest = std::max(longest, rank.frozen_ns);
    log_.info("rank_frozen", {{"generation", order.generation},
                              {"rank", rank.rank},
                              {"frozen_us", rank.frozen_ns / 1000},
                              {"threads", rank.threads},
                              {"regions", rank.regions},
                              {"pages", rank.pages}});
    if (!rank.fork_failure.empty())
      log_.warning(
          "copied_while_stopped",
          {{"generation", order.generation}, {"rank", rank.rank}, {"cause", rank.fork_failure}});
  }
  report(Frozen{order.generation, static_cast<std::uint64_t>(longest), snapshot->upper_bytes()});
}

void SnapshotWorker::do_write(std::uint64_t generation) {
  std::shared_ptr<snapshot::NodeSnapshot> snapshot;
  {
    const std::lock_guard lock(mutex_);
    snapshot = snapshot_;
    writing_ = true;
  }
  if (!snapshot || order_.generation != generation) return;
  const auto started = std::chrono::steady_clock::now();
  auto written = write_file(*snapshot);
  {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    snapshot_.reset();
  }
  snapshot.reset();
  if (!written) return fail_with(generation, written.error());
  finished_path_ = order_.partial_path;
  const auto took = std::chrono::steady_clock::now() - started;
  log_.info("payload_written",
            {{"generation", generation},
             {"file", finished_path_},
             {"bytes", *written},
             {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
  report(Written{generation, finished_path_, *written});
}

tl::expected<std::uint64_t, snapshot::RankFailure> SnapshotWorker::write_file(
    snapshot::NodeSnapshot& snapshot) {
  FileSystem& files = linux_file_system();
  const auto part = rank_count_ == static_cast<std::size_t>(order_.world_size)
                        ? image::GenerationPart::whole
                        : image::GenerationPart::node;
  auto writer =
      image::GenerationWriter::create(files, order_.partial_path, job_record(order_), part);
  if (!writer) return tl::unexpected(own_failure(writer.error()));
  if (auto done = snapshot.write(*writer); !done) return tl::unexpected(done.error());
  if (auto done = writer->finish(); !done) return tl::unexpected(own_failure(done.error()));
  auto file = files.open(order_.partial_path, O_RDONLY);
  if (!file) return tl::unexpected(own_failure(file.error()));
  auto status = (*file)->status();
  if (!status) return tl::unexpected(own_failure(status.error()));
  return status->size;
}

void SnapshotWorker::do_drop(bool committed) {
  {
    const std::lock_guard lock(mutex_);
    snapshot_.reset();
  }
  if (!committed && !finished_path_.empty())
    if (auto done = linux_file_system().unlink(finished_path_);
        !done && done.error().code != ENOENT)
      log_.warning("partial_not_removed", {{"cause", done.error()}});
  finished_path_.clear();
}

void SnapshotWorker::fail_with(std::uint64_t generation, const snapshot::RankFailure& failure) {
  {
    const std::lock_guard lock(mutex_);
    snapshot_.reset();
    writing_ = false;
  }
  log_.warning("snapshot_failed",
               {{"generation", generation}, {"rank", failure.rank}, {"cause", failure.error}});
  report(SnapshotFailed{generation, failure.rank, failure.vanished, failure.error.message()});
}

void SnapshotWorker::report(Event event) {
  boost::asio::post(io_, [this, event = std::move(event)] { report_(event); });
}

}  // namespace ckpt::relay
