#include "agent/proc/memory_map.hpp"

#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <charconv>

#include "agent/proc/proc_file.hpp"
#include "format/posix/whole_number.hpp"

namespace ckpt::proc {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

// Takes a number and the one character behind it.
bool take_number(std::string_view& text, int base, char behind, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end == text.data()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.empty() || text.front() != behind) return false;
  text.remove_prefix(1);
  return true;
}

// The kernel writes a newline in a path as \012; every other byte stands for itself.
std::string unescape(std::string_view path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i, 4) == "\\012") {
      plain += '\n';
      i += 3;
    } else {
      plain += path[i];
    }
  }
  return plain;
}

bool parse_mapping(std::string_view line, Mapping& mapping) {
  if (!take_number(line, 16, '-', mapping.start) || !take_number(line, 16, ' ', mapping.end) ||
      mapping.start >= mapping.end)
    return false;
  if (line.size() < 5 || line[4] != ' ') return false;
  if (line[0] == 'r') mapping.protection |= PROT_READ;
  if (line[1] == 'w') mapping.protection |= PROT_WRITE;
  if (line[2] == 'x') mapping.protection |= PROT_EXEC;
  mapping.shared = line[3] == 's';
  line.remove_prefix(5);
  std::uint64_t major = 0, minor = 0;
  if (!take_number(line, 16, ' ', mapping.offset) || !take_number(line, 16, ':', major) ||
      !take_number(line, 16, ' ', minor))
    return false;
  mapping.device = makedev(major, minor);
  const std::size_t inode_end = line.find(' ');
  if (!whole_number(line.substr(0, inode_end), mapping.inode)) return false;
  if (inode_end == std::string_view::npos) return true;
  line.remove_prefix(inode_end);
  const std::size_t name_start = line.find_first_not_of(' ');
  if (name_start == std::string_view::npos) return true;
  line.remove_prefix(name_start);
  if (mapping.inode != 0 && line.ends_with(kDeleted)) {
    mapping.deleted = true;
    line.remove_suffix(kDeleted.size());
  }
  mapping.name = unescape(line);
  return true;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Lines of smaps that describe the mapping above begin with "Name:".
bool is_detail(std::string_view line) {
  return !line.empty() && line.front() >= 'A' && line.front() <= 'Z';
}

Result<std::vector<Mapping>> parse(std::string_view text, bool details) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    if (details && is_detail(line)) {
      if (mappings.empty()) return fail("parse smaps", std::string(line), "no mapping before it");
      if (line.starts_with("VmFlags:")) {
        std::string_view flags = line.substr(8);
        while (!flags.empty() && flags.front() == ' ') flags.remove_prefix(1);
        while (!flags.empty() && flags.back() == ' ') flags.remove_suffix(1);
        mappings.back().vm_flags = flags;
      }
      continue;
    }
    Mapping mapping;
    if (!parse_mapping(line, mapping))
      return fail("parse maps", std::string(line), "not a line of /proc/pid/maps");
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

}  // namespace

bool Mapping::has_flag(std::string_view two_letters) const {
  for (std::size_t at = 0; at + 2 <= vm_flags.size(); at += 3)
    if (std::string_view(vm_flags).substr(at, 2) == two_letters) return true;
  return false;
}

Result<std::vector<Mapping>> parse_maps(std::string_view text) { return parse(text, false); }
Result<std::vector<Mapping>> parse_smaps(std::string_view text) { return parse(text, true); }

Result<std::vector<Mapping>> read_maps(int pid) {
  auto text = read_whole(path_of(pid, "maps"));
  if (!text) return tl::unexpected(text.error());
  return parse_maps(*text);
}

Result<std::vector<Mapping>> read_smaps(int pid) {
  auto text = read_whole(path_of(pid, "smaps"));
  if (!text) return tl::unexpected(text.error());
  return parse_smaps(*text);
}

}  // namespace ckpt::proc
