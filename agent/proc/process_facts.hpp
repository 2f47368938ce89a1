// What /proc/pid says of a process in small text files.
//
// Purpose: parsers for stat, status, limits, timers, fdinfo and auxv.
// Ownership: values. Threads: no shared state.
// Units: as in proc(5); addresses in bytes.
// Errors: a field that is missing or not a number, with the file's line.
// Source: proc(5); fs/proc/array.c (fields 26-28 and 45-51 of stat are the
//   memory layout; zero where the reader may not trace the process).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::proc {

struct Stat {
  int pid = 0;
  std::string name;
  char state = '?';  // R S D T t Z X I
  int parent = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot
  image::MemoryLayout layout;    // without brk and auxv
};

struct StatusFacts {
  int tracer = 0;
  std::uint32_t umask = 0;
  std::uint32_t uid = 0;  // effective
  std::uint64_t pending = 0, shared_pending = 0;
  std::uint64_t blocked = 0, ignored = 0, caught = 0;
};

struct FdInfo {
  std::int64_t position = 0;
  std::uint32_t flags = 0;  // O_*, octal in the file
};

Result<Stat> parse_stat(std::string_view text);
Result<StatusFacts> parse_status(std::string_view text);
Result<std::vector<image::ResourceLimit>> parse_limits(std::string_view text);  // [RLIMIT_*]
Result<FdInfo> parse_fdinfo(std::string_view text);

// Value and interval are not in the file: they are asked for in the process.
Result<std::vector<image::PosixTimer>> parse_timers(std::string_view text);

// The stack pointer in /proc/pid/task/tid/syscall; 0 for "running".
std::uint64_t parse_syscall_stack(std::string_view text);

// The whole vector, ended by AT_NULL as in the process.
std::vector<std::uint64_t> parse_auxv(std::string_view bytes);

Result<Stat> read_stat(int pid, int tid);

}  // namespace ckpt::proc
