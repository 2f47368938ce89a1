#include "agent/snapshot/descriptors.hpp"

#include <arpa/inet.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"

namespace ckpt::snapshot {
namespace {

constexpr int kLastStandard = 2;
constexpr std::string_view kDeleted = " (deleted)";

struct OpenFile {
  int fd = -1;
  std::string link;
  struct stat status {};
  proc::FdInfo info;
};

// "0100007F:1F90" of /proc/net/tcp, in this machine's byte order.
std::string address_text(const std::string& hex, bool v6) {
  char text[INET6_ADDRSTRLEN] = "?";
  const std::size_t colon = hex.find(':');
  if (colon == std::string::npos) return hex;
  std::uint32_t words[4] = {};
  const std::size_t count = v6 ? 4 : 1;
  for (std::size_t i = 0; i < count; ++i)
    words[i] = static_cast<std::uint32_t>(std::strtoul(hex.substr(i * 8, 8).c_str(), nullptr, 16));
  ::inet_ntop(v6 ? AF_INET6 : AF_INET, words, text, sizeof text);
  const auto port = std::strtoul(hex.substr(colon + 1).c_str(), nullptr, 16);
  const std::string address = v6 ? "[" + std::string(text) + "]" : text;
  return address + ":" + std::to_string(port);
}

// Finds a socket's line in a table of /proc/pid/net by its inode.
std::string internet_socket(int pid, const char* table, const char* what,
                            const std::string& inode) {
  auto text = proc::read_whole(proc::path_of(pid, std::string("net/") + table));
  if (!text) return "";
  std::istringstream lines(*text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::vector<std::string> word(10);
    for (std::string& one : word) words >> one;
    if (word[9] != inode) continue;
    const bool v6 = std::string_view(table).ends_with('6');
    const bool listening = word[3] == "0A" && std::string_view(table).starts_with("tcp");
    return std::string(what) + (listening ? " socket listening on " : " socket to ") +
           address_text(listening ? word[1] : word[2], v6);
  }
  return "";
}

std::string unix_socket(int pid, const std::string& inode) {
  auto text = proc::read_whole(proc::path_of(pid, "net/unix"));
  if (!text) return "";
  std::istringstream lines(*text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string number, count, protocol, flags, type, state, found, path;
    words >> number >> count >> protocol >> flags >> type >> state >> found >> path;
    if (found == inode) return path.empty() ? "Unix socket" : "Unix socket " + path;
  }
  return "";
}

bool same_open_file(int pid, int a, int b) {
  return ::syscall(SYS_kcmp, pid, pid, KCMP_FILE, a, b) == 0;
}

Result<OpenFile> inspect(int pid, int fd) {
  OpenFile file;
  file.fd = fd;
  const std::string path = proc::path_of(pid, "fd/" + std::to_string(fd));
  auto link = proc::read_link(path);
  if (!link) return tl::unexpected(link.error());
  file.link = std::move(*link);
  if (::stat(path.c_str(), &file.status) != 0) return fail_errno("stat", path);
  auto text = proc::read_whole(proc::path_of(pid, "fdinfo/" + std::to_string(fd)));
  if (!text) return tl::unexpected(text.error());
  auto info = proc::parse_fdinfo(*text);
  if (!info) return with_context(info.error(), "read fdinfo of", path);
  file.info = *info;
  return file;
}

bool has_path(const OpenFile& file) {
  return file.link.starts_with('/') && file.status.st_nlink > 0 && !file.link.ends_with(kDeleted);
}

// False where the kind cannot be saved.
bool choose_kind(const OpenFile& file, image::DescriptorKind& kind) {
  const mode_t type = file.status.st_mode & S_IFMT;
  const bool standard = file.fd <= kLastStandard;
  if (standard && (type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR))
    kind = image::DescriptorKind::standard;
  else if (type == S_IFREG && has_path(file))
    kind = image::DescriptorKind::regular_file;
  else if (type == S_IFDIR && has_path(file))
    kind = image::DescriptorKind::directory;
  else if (type == S_IFCHR && has_path(file))
    kind = image::DescriptorKind::char_device;
  else
    return false;
  return true;
}

image::Descriptor record(const OpenFile& file, image::DescriptorKind kind) {
  image::Descriptor descriptor;
  descriptor.fd = file.fd;
  descriptor.kind = kind;
  descriptor.path = file.link;
  descriptor.offset = file.info.position;
  descriptor.flags = file.info.flags;
  descriptor.size = static_cast<std::uint64_t>(file.status.st_size);
  descriptor.device = file.status.st_dev;
  descriptor.inode = file.status.st_ino;
  return descriptor;
}

Result<std::vector<int>> program_descriptors(int pid, const DescriptorRules& rules) {
  auto names = proc::list_directory(proc::path_of(pid, "fd"));
  if (!names) return tl::unexpected(names.error());
  std::vector<int> numbers;
  for (const std::string& name : *names) {
    const int fd = std::atoi(name.c_str());
    if (fd < rules.base && fd != rules.channel_fd) numbers.push_back(fd);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

std::string describe_target(int pid, const std::string& link) {
  if (link.starts_with("socket:[") && link.ends_with(']')) {
    const std::string inode = link.substr(8, link.size() - 9);
    for (const auto& [table, what] : {std::pair{"tcp", "TCP"}, std::pair{"tcp6", "TCP"},
                                      std::pair{"udp", "UDP"}, std::pair{"udp6", "UDP"}})
      if (std::string text = internet_socket(pid, table, what, inode); !text.empty())
        return "a " + text;
    if (std::string text = unix_socket(pid, inode); !text.empty()) return "a " + text;
    return "a socket";
  }
  if (link.starts_with("pipe:[")) return "a pipe";
  if (link.starts_with("anon_inode:")) {
    std::string what = link.substr(11);
    std::erase_if(what, [](char c) { return c == '[' || c == ']'; });
    return "an " + what + " descriptor";
  }
  if (link.ends_with(kDeleted)) return "the deleted file " + link.substr(0, link.size() - 10);
  return "of an unsupported kind: " + link;
}

Result<std::vector<image::Descriptor>> capture_descriptors(int pid, const DescriptorRules& rules) {
  auto numbers = program_descriptors(pid, rules);
  if (!numbers) return tl::unexpected(numbers.error());
  std::vector<image::Descriptor> kept;
  std::string refused;
  for (const int fd : *numbers) {
    auto file = inspect(pid, fd);
    if (!file) return tl::unexpected(file.error());
    if (rules.own_files.contains({file->status.st_dev, file->status.st_ino})) continue;
    image::DescriptorKind kind{};
    bool saved = choose_kind(*file, kind);
    image::Descriptor descriptor = record(*file, kind);
    // A duplicate, also one of stdin, stdout or stderr, follows the first one.
    for (const image::Descriptor& earlier : kept) {
      if (earlier.device != descriptor.device || earlier.inode != descriptor.inode ||
          !same_open_file(pid, earlier.fd, fd))
        continue;
      descriptor.same_as = earlier.fd;
      descriptor.kind = earlier.kind;
      saved = true;
      break;
    }
    if (!saved && !rules.skip_unsupported) {
      refused += (refused.empty() ? "fd " : ", fd ") + std::to_string(fd) + " is " +
                 describe_target(pid, descriptor.path);
      continue;
    }
    if (!saved) descriptor.kind = image::DescriptorKind::ignored;
    kept.push_back(std::move(descriptor));
  }
  if (!refused.empty()) return fail("", refused, "", ENOTSUP);
  return kept;
}

}  // namespace ckpt::snapshot
