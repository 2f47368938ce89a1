#include "format/log/event_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <deque>
#include <mutex>
#include <thread>

#include "format/posix/unique_fd.hpp"

namespace ckpt {
namespace {

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "unknown";
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const unsigned char c : value) {
    if (c <= ' ' || c == 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

void append_value(std::string& line, std::string_view value) {
  if (!needs_quotes(value)) {
    line += value;
    return;
  }
  line += '"';
  for (const unsigned char c : value) {
    switch (c) {
      case '"': line += "\\\""; break;
      case '\\': line += "\\\\"; break;
      case '\n': line += "\\n"; break;
      case '\r': line += "\\r"; break;
      case '\t': line += "\\t"; break;
      default:
        if (c < ' ' || c == 0x7f) {
          char text[8];
          std::snprintf(text, sizeof text, "\\x%02x", c);
          line += text;
        } else {
          line += static_cast<char>(c);
        }
    }
  }
  line += '"';
}

void append_time(std::string& line, std::int64_t unix_ms) {
  std::int64_t seconds = unix_ms / 1000, millis = unix_ms % 1000;
  if (millis < 0) {
    millis += 1000;
    --seconds;
  }
  const std::time_t when = seconds;
  std::tm utc{};
  gmtime_r(&when, &utc);
  char text[32];
  const auto length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  line.append(text, length);
  std::snprintf(text, sizeof text, ".%03dZ", static_cast<int>(millis));
  line += text;
}

std::int64_t system_clock_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

bool write_line(int fd, const std::string& line) {
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = ::write(fd, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

struct EventLog::State {
  static constexpr std::size_t kMaxWaiting = 10'000;

  EventLogOptions options;
  UniqueFd file;
  std::mutex writing;  // lines of one process stay in the order of their times
  std::atomic<std::uint64_t> lost{0};

  // Of `background`:
  std::condition_variable changed;
  std::deque<std::string> waiting;
  std::uint64_t dropped = 0;  // since the last line that was taken
  bool ending = false, ended = false;

  std::int64_t now() const { return options.clock ? options.clock() : system_clock_ms(); }
  void write_out(const std::string& line) {
    bool written = true;
    if (file) written = write_line(file.get(), line);
    if (options.to_stderr) written = write_line(STDERR_FILENO, line) && written;
    if (!written) ++lost;
  }
  void enqueue(std::string line) {
    if (waiting.size() >= kMaxWaiting) {
      ++lost;
      ++dropped;
      return;
    }
    if (dropped > 0) {
      waiting.push_back(
          format_event(now(), LogLevel::warning, "log_lines_lost", {{"lines", dropped}}) + "\n");
      dropped = 0;
    }
    waiting.push_back(std::move(line));
    changed.notify_all();
  }
  void run() {
    std::unique_lock lock(writing);
    for (;;) {
      changed.wait(lock, [this] { return ending || !waiting.empty(); });
      if (waiting.empty()) break;
      const std::string line = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      write_out(line);
      lock.lock();
    }
    ended = true;
    changed.notify_all();
  }
};

EventLog::EventLog(std::shared_ptr<State> state) : state_(std::move(state)) {}
EventLog::EventLog() : state_(std::make_shared<State>()) {}
EventLog::EventLog(EventLog&&) noexcept = default;
EventLog& EventLog::operator=(EventLog&& other) noexcept {
  finish();
  state_ = std::move(other.state_);
  return *this;
}
EventLog::~EventLog() { finish(); }

void EventLog::finish() {
  if (!state_ || !state_->options.background) return;
  constexpr std::chrono::seconds kPatience{2};
  std::unique_lock lock(state_->writing);
  state_->ending = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, kPatience, [this] { return state_->ended; });
}

Result<EventLog> EventLog::open(EventLogOptions options) {
  auto state = std::make_shared<State>();
  if (!options.path.empty()) {
    state->file.reset(
        ::open(options.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!state->file) return fail_errno("open log", options.path);
  }
  state->options = std::move(options);
  if (state->options.background) std::thread([state] { state->run(); }).detach();
  return EventLog(std::move(state));
}

void EventLog::write(LogLevel level, std::string_view event,
                     std::initializer_list<LogField> fields) {
  if (!state_ || level < state_->options.least) return;
  const std::lock_guard lock(state_->writing);
  std::string line = format_event(state_->now(), level, event, fields) + "\n";
  if (state_->options.background) return state_->enqueue(std::move(line));
  state_->write_out(line);
}

std::uint64_t EventLog::lost_lines() const { return state_ ? state_->lost.load() : 0; }

std::string format_event(std::int64_t unix_ms, LogLevel level, std::string_view event,
                         std::initializer_list<LogField> fields) {
  std::string line;
  line.reserve(128);
  append_time(line, unix_ms);
  line += " level=";
  line += level_name(level);
  line += " event=";
  append_value(line, event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  return line;
}

}  // namespace ckpt
