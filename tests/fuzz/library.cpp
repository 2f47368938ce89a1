// ckpt-rewrite: a library of the site's, read as ELF file with .eh_frame and code.
#include <sys/mman.h>
#include <unistd.h>

#include "mpi_shim/host/rewrite/code_sites.hpp"
#include "mpi_shim/host/rewrite/library_file.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  static const int memory = ::memfd_create("library", MFD_CLOEXEC);
  fuzz::require(::ftruncate(memory, 0) == 0 &&
                ::pwrite(memory, data, size, 0) == static_cast<ssize_t>(size));
  const auto library = rewrite::LibraryFile::open("/proc/self/fd/" + std::to_string(memory));
  if (!library) return 0;
  const auto sites = rewrite::find_code_sites(*library, "libfuzz.so");
  if (!sites) return 0;
  for (const auto offset : sites->fs_prefixes) fuzz::require(offset < library->bytes().size());
  for (const auto offset : sites->set_fs) fuzz::require(offset < library->bytes().size());
  fuzz::require(sites->steered.size() <= lower::kMaxSteerSites);
  for (const auto& site : sites->steered)
    fuzz::require(site.file_offset + lower::kSteerSiteSize <= library->bytes().size());
  return 0;
}
