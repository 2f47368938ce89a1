// ckpt-rewrite --library FILE --copy FILE: makes the rewritten copy of a
// library's text (rewritten_format.h), or FILE.refused with the reason.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"
#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/rewrite/code_sites.hpp"
#include "mpi_shim/host/rewrite/library_file.hpp"
#include "mpi_shim/host/rewritten_format.h"

namespace ckpt::rewrite {
namespace {

Status write_at(int fd, const void* from, std::size_t size, std::uint64_t offset,
                const std::string& path) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t written = ::pwrite(fd, at, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail_errno("write", path, written == 0 ? ENOSPC : errno);
    at += written;
    offset += static_cast<std::uint64_t>(written);
    size -= static_cast<std::size_t>(written);
  }
  return {};
}

// Appears whole, by rename, from a new file (0600) that no other name leads to;
// on a cache that nodes share no two of them write the same one.
Status make_file(const std::string& path, const std::function<Status(int)>& write) {
  std::string partial = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(partial.data(), O_CLOEXEC));
  if (!fd) return fail_errno("make", partial);
  Status made = write(fd.get());
  // After a power-off the name must not lead to a file without content.
  if (made && ::fdatasync(fd.get()) != 0) made = fail_errno("fdatasync", partial);
  if (made && ::rename(partial.c_str(), path.c_str()) != 0) made = fail_errno("rename", path);
  if (!made) ::unlink(partial.c_str());
  return made;
}

// Only executable segments are written: the rest is never mapped from the copy.
Status write_copy(const LibraryFile& library, const CodeSites& sites, int fd,
                  const std::string& path) {
  std::vector<std::uint8_t> bytes = library.bytes();
  for (const std::uint64_t offset : sites.fs_prefixes) bytes[offset] = 0x65;
  for (const std::uint64_t offset : sites.set_fs) bytes[offset] = 0x01;

  lower::RewrittenTrailer trailer{};
  trailer.magic = lower::kRewrittenMagic;
  trailer.version = lower::kRewrittenVersion;
  trailer.library_size = bytes.size();
  trailer.fs_accesses = sites.fs_prefixes.size();
  trailer.site_count = static_cast<std::uint32_t>(sites.steered.size());
  std::copy(sites.steered.begin(), sites.steered.end(), trailer.sites);

  for (const Elf64_Phdr& segment : library.segments()) {
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
    if (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset)
      return fail("read", path, "an executable segment lies outside the file");
    Status written =
        write_at(fd, bytes.data() + segment.p_offset, segment.p_filesz, segment.p_offset, path);
    if (!written) return written;
  }
  return write_at(fd, &trailer, sizeof trailer, lower::page_up(bytes.size()), path);
}

Status rewrite(const std::string& path, const std::string& copy) {
  auto library = LibraryFile::open(path);
  if (!library) return tl::unexpected(library.error());
  auto sites = find_code_sites(*library, std::filesystem::path(path).filename().string());
  if (!sites) return tl::unexpected(sites.error());
  return make_file(copy, [&](int fd) { return write_copy(*library, *sites, fd, copy); });
}

}  // namespace
}  // namespace ckpt::rewrite

int main(int argc, char** argv) {
  CLI::App app{"Makes the copy of a library's text that the lower half runs"};
  std::string library, copy;
  app.add_option("--library", library, "the library's file")->required();
  app.add_option("--copy", copy, "the copy to make")->required();
  CLI11_PARSE(app, argc, argv);
  const auto done = ckpt::rewrite::rewrite(library, copy);
  if (done) return 0;
  const std::string reason = done.error().message();
  const std::string refused = copy + ".refused";
  const auto told = ckpt::rewrite::make_file(refused, [&](int fd) {
    return ckpt::rewrite::write_at(fd, reason.data(), reason.size(), 0, refused);
  });
  if (!told) std::fprintf(stderr, "ckpt-rewrite: %s\n", told.error().message().c_str());
  std::fprintf(stderr, "ckpt-rewrite: %s: %s\n", library.c_str(), done.error().message().c_str());
  return 1;
}
