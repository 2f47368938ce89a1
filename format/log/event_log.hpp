// EventLog: one event, one line.
//
//   2026-01-02T03:04:05.678Z level=info event=committed generation=12 bytes=1048576
//
// Purpose: the log of the coordinator and the agents; for people, grep and awk.
//   A value is quoted ("...", with \" \\ \n \r \t \xNN) when it is empty or has
//   a space, a quote, '=', a backslash or a control character.
// Ownership: owns the file it opened; stderr is borrowed.
// Threads: any thread may log (`background`: kMaxWaiting lines wait at most, more
//   are lost and counted in a line of their own); a line is one write(2) to a file opened
//   O_APPEND, so lines of several processes do not mix.
// Units: UTC, milliseconds.
// Errors: open() reports; a line that cannot be written (disk full) is counted
//   (lost_lines) and must not stop the job.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "format/posix/result.hpp"

namespace ckpt {

enum class LogLevel { debug = 0, info = 1, warning = 2, error = 3 };

struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  LogField(std::string_view k, const Error& v) : key(k), value(v.message()) {}
  template <typename T>
  requires(std::is_arithmetic_v<T> && !std::same_as<T, bool>) LogField(std::string_view k, T v)
      : key(k), value(std::to_string(v)) {}
};

struct EventLogOptions {
  std::string path;  // a file to append to (made 0600 if missing); "" = none
  bool to_stderr = true;
  LogLevel least = LogLevel::info;
  // Milliseconds since the epoch; the system clock when empty.
  std::function<std::int64_t()> clock;
  // Lines are written by a thread of the log's own: a file on storage that hangs
  // holds up nobody. At the end it is waited for, but not for ever.
  bool background = false;
};

class EventLog {
 public:
  // To stderr alone.
  EventLog();
  static Result<EventLog> open(EventLogOptions options);
  EventLog(EventLog&&) noexcept;
  EventLog& operator=(EventLog&&) noexcept;
  ~EventLog();

  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::debug, event, fields);
  }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::info, event, fields);
  }
  void warning(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::warning, event, fields);
  }
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::error, event, fields);
  }

  std::uint64_t lost_lines() const;

 private:
  struct State;
  explicit EventLog(std::shared_ptr<State> state);
  void finish();
  std::shared_ptr<State> state_;  // with the thread, which may outlive the log
};

// The line without its newline; what EventLog writes.
std::string format_event(std::int64_t unix_ms, LogLevel level, std::string_view event,
                         std::initializer_list<LogField> fields);

}  // namespace ckpt
