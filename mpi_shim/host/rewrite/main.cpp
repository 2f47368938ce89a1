// ckpt-rewrite --library FILE --copy FILE: makes the rewritten copy of a
// library's text (rewritten_format.h), or FILE.refused with the reason.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "format/posix/result.hpp"
#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/rewrite/code_sites.hpp"
#include "mpi_shim/host/rewrite/library_file.hpp"
#include "mpi_shim/host/rewritten_format.h"

namespace ckpt::rewrite {
namespace {

// Only executable segments are written: the rest is never mapped from the copy.
Status write_copy(const LibraryFile& library, const CodeSites& sites, const std::string& path) {
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

  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  for (const Elf64_Phdr& segment : library.segments()) {
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
    file.seekp(static_cast<std::streamoff>(segment.p_offset));
    file.write(reinterpret_cast<const char*>(bytes.data() + segment.p_offset),
               static_cast<std::streamsize>(segment.p_filesz));
  }
  file.seekp(static_cast<std::streamoff>(lower::page_up(bytes.size())));
  file.write(reinterpret_cast<const char*>(&trailer), sizeof trailer);
  file.close();
  if (!file) return fail_errno("write", path);
  return {};
}

Status rewrite(const std::string& path, const std::string& copy) {
  auto library = LibraryFile::open(path);
  if (!library) return tl::unexpected(library.error());
  auto sites = find_code_sites(*library, std::filesystem::path(path).filename().string());
  if (!sites) return tl::unexpected(sites.error());
  const std::string partial = copy + "." + std::to_string(getpid());
  if (auto written = write_copy(*library, *sites, partial); !written) {
    ::unlink(partial.c_str());
    return written;
  }
  if (::rename(partial.c_str(), copy.c_str()) != 0) return fail_errno("rename", copy);
  return {};
}

}  // namespace
}  // namespace ckpt::rewrite

int main(int argc, char** argv) {
  CLI::App app{"Makes the copy of a library's text that the lower half runs"};
  std::string library, copy;
  app.add_option("--library", library, "the library's file")->required();
  app.add_option("--copy", copy, "the copy to make")->required();
  CLI11_PARSE(app, argc, argv);
  ::umask(077);
  const auto done = ckpt::rewrite::rewrite(library, copy);
  if (done) return 0;
  std::ofstream(copy + ".refused") << done.error().message();
  std::fprintf(stderr, "ckpt-rewrite: %s: %s\n", library.c_str(), done.error().message().c_str());
  return 1;
}
