#include "agent/proc/process_facts.hpp"

#include <sys/resource.h>

#include <cstring>
#include <map>
#include <sstream>

#include "agent/proc/proc_file.hpp"
#include "format/posix/whole_number.hpp"

namespace ckpt::proc {
namespace {

template <typename T>
bool number(std::string_view text, T& value, int base = 10) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return whole_number(text, value, base);
}

template <typename Function>
void each_line(std::string_view text, Function function) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    function(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

// "Name:\tvalue" lines.
std::map<std::string, std::string, std::less<>> fields_of(std::string_view text) {
  std::map<std::string, std::string, std::less<>> fields;
  each_line(text, [&](std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string_view value = line.substr(colon + 1);
    const std::size_t start = value.find_first_not_of(" \t");
    fields[std::string(line.substr(0, colon))] =
        start == std::string_view::npos ? "" : std::string(value.substr(start));
  });
  return fields;
}

std::string_view first_word(std::string_view text) {
  return text.substr(0, text.find_first_of(" \t"));
}

}  // namespace

Result<Stat> parse_stat(std::string_view text) {
  // The name may hold blanks and parentheses: it ends at the last ')'.
  const std::size_t open = text.find('('), close = text.rfind(')');
  Stat stat;
  if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
      !number(text.substr(0, open), stat.pid))
    return fail("parse stat", std::string(text.substr(0, 80)), "no (name)");
  stat.name = text.substr(open + 1, close - open - 1);
  std::vector<std::string> fields(3);  // index = proc(5)'s field number
  std::istringstream rest{std::string(text.substr(close + 1))};
  for (std::string word; rest >> word;) fields.push_back(word);
  if (fields.size() < 52) return fail("parse stat", stat.name, "fewer than 51 fields");
  stat.state = fields[3][0];
  image::MemoryLayout& layout = stat.layout;
  const struct {
    int field;
    std::uint64_t* value;
  } wanted[] = {{22, &stat.start_time},    {26, &layout.start_code}, {27, &layout.end_code},
                {28, &layout.start_stack}, {45, &layout.start_data}, {46, &layout.end_data},
                {47, &layout.start_brk},   {48, &layout.arg_start},  {49, &layout.arg_end},
                {50, &layout.env_start},   {51, &layout.env_end}};
  for (const auto& [field, value] : wanted)
    if (!number(fields[static_cast<std::size_t>(field)], *value))
      return fail("parse stat", "field " + std::to_string(field), "not a number");
  if (!number(fields[4], stat.parent)) return fail("parse stat", "field 4", "not a number");
  return stat;
}

Result<StatusFacts> parse_status(std::string_view text) {
  const auto fields = fields_of(text);
  StatusFacts facts;
  const auto take = [&](const char* name, auto& value, int base) {
    const auto field = fields.find(name);
    return field != fields.end() && number(first_word(field->second), value, base);
  };
  const char* missing = !take("TracerPid", facts.tracer, 10)        ? "TracerPid"
                        : !take("Umask", facts.umask, 8)            ? "Umask"
                        : !take("SigPnd", facts.pending, 16)        ? "SigPnd"
                        : !take("ShdPnd", facts.shared_pending, 16) ? "ShdPnd"
                        : !take("SigBlk", facts.blocked, 16)        ? "SigBlk"
                        : !take("SigIgn", facts.ignored, 16)        ? "SigIgn"
                        : !take("SigCgt", facts.caught, 16)         ? "SigCgt"
                                                                    : nullptr;
  if (missing != nullptr) return fail("parse status", missing, "missing or not a number");
  const auto uid = fields.find("Uid");  // real, effective, saved, file system
  if (uid == fields.end()) return fail("parse status", "Uid", "missing");
  std::istringstream ids(uid->second);
  std::uint32_t real = 0;
  if (!(ids >> real >> facts.uid)) return fail("parse status", "Uid", "not two numbers");
  return facts;
}

Result<std::vector<image::ResourceLimit>> parse_limits(std::string_view text) {
  static const std::pair<const char*, int> kNames[] = {
      {"Max cpu time", RLIMIT_CPU},
      {"Max file size", RLIMIT_FSIZE},
      {"Max data size", RLIMIT_DATA},
      {"Max stack size", RLIMIT_STACK},
      {"Max core file size", RLIMIT_CORE},
      {"Max resident set", RLIMIT_RSS},
      {"Max processes", RLIMIT_NPROC},
      {"Max open files", RLIMIT_NOFILE},
      {"Max locked memory", RLIMIT_MEMLOCK},
      {"Max address space", RLIMIT_AS},
      {"Max file locks", RLIMIT_LOCKS},
      {"Max pending signals", RLIMIT_SIGPENDING},
      {"Max msgqueue size", RLIMIT_MSGQUEUE},
      {"Max nice priority", RLIMIT_NICE},
      {"Max realtime priority", RLIMIT_RTPRIO},
      {"Max realtime timeout", RLIMIT_RTTIME},
  };
  std::vector<image::ResourceLimit> limits(RLIM_NLIMITS, {RLIM_INFINITY, RLIM_INFINITY});
  std::string bad;
  std::size_t found = 0;
  each_line(text, [&](std::string_view line) {
    for (const auto& [name, index] : kNames) {
      if (!line.starts_with(name)) continue;
      std::istringstream words{std::string(line.substr(std::strlen(name)))};
      std::string soft, hard;
      words >> soft >> hard;
      image::ResourceLimit& limit = limits[static_cast<std::size_t>(index)];
      if ((soft != "unlimited" && !number(soft, limit.soft)) ||
          (hard != "unlimited" && !number(hard, limit.hard)))
        bad = line;
      ++found;
    }
  });
  if (!bad.empty()) return fail("parse limits", bad, "not two numbers");
  if (found != std::size(kNames)) return fail("parse limits", "", "a limit is missing");
  return limits;
}

Result<FdInfo> parse_fdinfo(std::string_view text) {
  const auto fields = fields_of(text);
  FdInfo info;
  const auto position = fields.find("pos"), flags = fields.find("flags");
  if (position == fields.end() || flags == fields.end() ||
      !number(position->second, info.position) || !number(flags->second, info.flags, 8))
    return fail("parse fdinfo", "", "no pos and flags");
  return info;
}

Result<std::vector<image::PosixTimer>> parse_timers(std::string_view text) {
  std::vector<image::PosixTimer> timers;
  std::string bad;
  each_line(text, [&](std::string_view line) {
    if (line.empty()) return;
    std::istringstream in{std::string(line)};
    std::string key, value;
    in >> key >> value;
    if (key == "ID:") timers.push_back({});
    if (timers.empty()) {
      bad = line;
      return;
    }
    image::PosixTimer& timer = timers.back();
    bool good = true;
    if (key == "ID:") {
      good = number(std::string_view(value), timer.id);
    } else if (key == "ClockID:") {
      good = number(std::string_view(value), timer.clock);
    } else if (key == "signal:") {  // "signal: 14/0000000000000007"
      const std::size_t slash = value.find('/');
      good = slash != std::string::npos &&
             number(std::string_view(value).substr(0, slash), timer.signal) &&
             number(std::string_view(value).substr(slash + 1), timer.value_pointer, 16);
    } else if (key == "notify:") {  // "notify: signal/tid.4211", "none/pid.1", "thread/pid.1"
      const std::size_t slash = value.find('/'), dot = value.find('.');
      if (slash == std::string::npos || dot == std::string::npos) {
        good = false;
      } else {
        const std::string how = value.substr(0, slash);
        const bool to_thread = value.substr(slash + 1, dot - slash - 1) == "tid";
        timer.notify = (how == "signal" ? 0 : how == "none" ? 1 : 2) | (to_thread ? 4 : 0);
        good = number(std::string_view(value).substr(dot + 1), timer.notify_tid);
      }
    }
    if (!good) bad = line;
  });
  if (!bad.empty()) return fail("parse timers", bad, "not understood");
  return timers;
}

std::uint64_t parse_syscall_stack(std::string_view text) {
  // "202 0x.. (six arguments) SP PC" in a system call, "-1 SP PC" elsewhere in the kernel.
  std::istringstream in{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  if (words.size() < 3) return 0;
  std::string_view stack = words[words.size() - 2];
  if (!stack.starts_with("0x")) return 0;
  std::uint64_t value = 0;
  return number(stack.substr(2), value, 16) ? value : 0;
}

std::vector<std::uint64_t> parse_auxv(std::string_view bytes) {
  std::vector<std::uint64_t> words(bytes.size() / sizeof(std::uint64_t));
  if (!words.empty())  // memcpy takes no null pointer, for nothing either
    std::memcpy(words.data(), bytes.data(), words.size() * sizeof(std::uint64_t));
  return words;
}

Result<Stat> read_stat(int pid, int tid) {
  const std::string path = path_of(pid, "task/" + std::to_string(tid) + "/stat");
  auto text = read_whole(path);
  if (!text) return tl::unexpected(text.error());
  auto stat = parse_stat(*text);
  if (!stat) return with_context(stat.error(), "read", path);
  return stat;
}

}  // namespace ckpt::proc
