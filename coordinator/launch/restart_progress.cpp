#include "coordinator/launch/restart_progress.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "coordinator/control_client/control_client.hpp"
#include "coordinator/terminal/words.hpp"

namespace ckpt::coordinator {
namespace {

double seconds_since(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

}  // namespace

RestartState summarize(std::span<const ckpt_restart_record> records) {
  RestartState state;
  state.phase = CKPT_RESTART_CONTINUED;
  for (const ckpt_restart_record& record : records) {
    state.phase = std::min(state.phase, record.phase);
    if (record.phase == CKPT_RESTART_WAITING) ++state.ranks_waiting;
    state.bytes_done += std::min(record.bytes_done, record.bytes_total);
    state.bytes_total += record.bytes_total;
  }
  return state;
}

Result<RestartProgress> RestartProgress::make(const JobDirectory& directory, std::int32_t ranks) {
  const std::string path = directory.file(CKPT_RESTART_PROGRESS_FILE);
  ::unlink(path.c_str());  // of a restart that was killed
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return fail_errno("open", path);
  const auto size = static_cast<off_t>(sizeof(ckpt_restart_record)) * ranks;
  if (::ftruncate(file.get(), size) != 0) return fail_errno("ftruncate", path);
  return RestartProgress(directory, ranks, std::move(file));
}

RestartProgress::RestartProgress(const JobDirectory& directory, std::int32_t ranks, UniqueFd file)
    : directory_(&directory),
      ranks_(ranks),
      file_(std::move(file)),
      line_(std::make_unique<ProgressLine>(false)) {}

RestartProgress::~RestartProgress() {
  if (file_) ::unlink(directory_->file(CKPT_RESTART_PROGRESS_FILE).c_str());
}

RestartState RestartProgress::read() const {
  std::vector<ckpt_restart_record> records(static_cast<std::size_t>(ranks_));
  const std::size_t size = records.size() * sizeof records.front();
  const ssize_t got = ::pread(file_.get(), records.data(), size, 0);
  if (got != static_cast<ssize_t>(size)) return {CKPT_RESTART_WAITING, ranks_, 0, 0};
  return summarize(records);
}

bool RestartProgress::rebuilt() const {
  auto client = ControlClient::connect(*directory_, kAnswerMs);
  if (!client || !client->send(wire::StatusRequest{})) return false;
  const auto answer = client->receive(kAnswerMs);
  const auto* status = answer ? std::get_if<wire::JobStatus>(&*answer) : nullptr;
  if (status == nullptr) return false;
  const auto value = nlohmann::json::parse(status->json, nullptr, false);
  return value.is_object() && value.value("ready", false);
}

bool RestartProgress::look() {
  const RestartState state = read();
  if (state.phase != CKPT_RESTART_WAITING && !reading_since_) {
    reading_since_ = std::chrono::steady_clock::now();
  }
  const std::string bytes = bytes_and_rate(state.bytes_done, state.bytes_total,
                                           reading_since_ ? seconds_since(*reading_since_) : 0);
  std::string text;
  switch (state.phase) {
    case CKPT_RESTART_WAITING:
      text = "starting: " + std::to_string(ranks_ - state.ranks_waiting) + " of " +
             std::to_string(ranks_) + " ranks";
      if (state.bytes_total > 0) text += ", read " + bytes;
      break;
    case CKPT_RESTART_READING: text = "reading: " + bytes; break;
    case CKPT_RESTART_REBUILDING: text = "rebuilding: MPI_Init of the new lower half"; break;
    default: text = "rebuilding: MPI objects and pending receives"; break;
  }
  const bool complete = state.phase == CKPT_RESTART_CONTINUED && rebuilt();
  if (complete) {
    line_->milestone("restart: complete after " + seconds_in_words(seconds_since(begun_)) + ", " +
                     in_words(state.bytes_total) + " read");
    line_->clear();
    return false;
  }
  if (shown_ != state.phase) line_->milestone("restart: " + text);
  shown_ = state.phase;
  line_->redraw("restart: " + text);
  return true;
}

}  // namespace ckpt::coordinator
