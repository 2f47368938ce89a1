// The incarnation of a job: which start of it is the present one.
//
// Purpose: fencing. Each start of a job (run, restart, a restart by --max-restarts)
//   raises `number` in the file `incarnation` of the job directory before anything
//   else is started, and each coordinator raises `term`. Whoever finds a higher
//   number there is of the past: its ranks would be a second copy of the job.
//   Whoever finds another term is a coordinator whose place was taken: it commits
//   no more.
// Ownership: values. Threads: no state.
// Errors: a file that cannot be read, or is another job's, says nothing: nobody
//   is killed on suspicion. read_incarnation() has errno in `code`.
// Source: ARCHITECTURE.md "Fencing". For the shim as well: no exceptions, no
//   more than POSIX. The file is replaced by rename, so it is always whole; on a
//   network file system open() asks the server, so it is never older than that.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"
#include "format/posix/whole_number.hpp"

namespace ckpt {

inline constexpr const char* kIncarnationFile = "incarnation";
// What ranks and agents are told: "JOB-ID:NUMBER".
inline constexpr const char* kIncarnationVariable = "CKPT_INCARNATION";

struct Incarnation {
  std::string job;           // random, made with the directory
  std::uint64_t number = 0;  // 0: not known
  std::uint64_t term = 0;    // coordinators that the job has had
  std::string host;          // who raised it last
  std::int32_t pid = 0;

  bool known() const { return number != 0 && !job.empty(); }
};

// "job=4f2a incarnation=3 term=5 host=node1 pid=4211\n"
inline std::string format_incarnation(const Incarnation& of) {
  return "job=" + of.job + " incarnation=" + std::to_string(of.number) +
         " term=" + std::to_string(of.term) + " host=" + of.host +
         " pid=" + std::to_string(of.pid) + "\n";
}

inline std::optional<Incarnation> parse_incarnation(std::string_view text) {
  if (text.empty() || text.back() != '\n') return std::nullopt;
  text.remove_suffix(1);
  Incarnation found;
  bool good = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size() == text.size() ? word.size() : word.size() + 1);
    const std::size_t at = word.find('=');
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view name = word.substr(0, at), value = word.substr(at + 1);
    if (name == "job") found.job = value;
    if (name == "host") found.host = value;
    if (name == "incarnation") good = whole_number(value, found.number) && good;
    if (name == "term") good = whole_number(value, found.term) && good;
    if (name == "pid") good = whole_number(value, found.pid) && good;
  }
  if (!good || !found.known()) return std::nullopt;
  return found;
}

inline std::string incarnation_variable(const Incarnation& of) {
  return of.job + ":" + std::to_string(of.number);
}

// Of $CKPT_INCARNATION; not known() when it makes no sense.
inline Incarnation incarnation_of_variable(std::string_view text) {
  Incarnation found;
  const std::size_t at = text.rfind(':');
  if (at == std::string_view::npos) return found;
  if (!whole_number(text.substr(at + 1), found.number)) return {};
  found.job = text.substr(0, at);
  return found;
}

inline Result<Incarnation> read_incarnation(const std::string& job_directory) {
  const std::string path = job_directory + "/" + kIncarnationFile;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail_errno("open", path);
  char bytes[1024];
  const ssize_t got = ::pread(fd.get(), bytes, sizeof bytes, 0);
  if (got < 0) return fail_errno("read", path);
  const auto found = parse_incarnation({bytes, static_cast<std::size_t>(got)});
  if (!found) return fail("read", path, "it is no incarnation", EINVAL);
  return *found;
}

// The file says, of the same job, that a newer start has taken over. Read twice:
// what follows is the end of processes, and that deserves a second look.
inline bool superseded(const std::string& job_directory, const Incarnation& mine) {
  if (!mine.known()) return false;
  for (int look = 0; look < 2; ++look) {
    const Result<Incarnation> now = read_incarnation(job_directory);
    if (!now || now->job != mine.job || now->number <= mine.number) return false;
  }
  return true;
}

}  // namespace ckpt
