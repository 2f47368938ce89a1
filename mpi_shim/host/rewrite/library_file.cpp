#include "mpi_shim/host/rewrite/library_file.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "mpi_shim/host/rewrite/frame_section.hpp"

namespace ckpt::rewrite {

Result<LibraryFile> LibraryFile::open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("open", path);
  LibraryFile library;
  library.path_ = path;
  library.bytes_.assign(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return fail_errno("read", path);
  if (auto read = library.read_headers(); !read) return tl::unexpected(read.error());
  return library;
}

Status LibraryFile::read_headers() {
  Elf64_Ehdr header;
  if (bytes_.size() < sizeof header) return fail("read", path_, "not an ELF file");
  std::memcpy(&header, bytes_.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_X86_64) {
    return fail("read", path_, "not an x86-64 ELF file");
  }
  const auto inside = [&](std::uint64_t offset, std::uint64_t size) {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  };
  if (!inside(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr)) ||
      !inside(header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr)) || header.e_shnum == 0 ||
      header.e_phnum == 0 || header.e_shstrndx >= header.e_shnum) {
    return fail("read", path_, "no program or section headers, or they lie outside the file");
  }
  segments_.resize(header.e_phnum);
  std::memcpy(segments_.data(), bytes_.data() + header.e_phoff,
              header.e_phnum * sizeof(Elf64_Phdr));
  std::vector<Elf64_Shdr> headers(header.e_shnum);
  std::memcpy(headers.data(), bytes_.data() + header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr));
  const Elf64_Shdr& names = headers[header.e_shstrndx];
  if (!inside(names.sh_offset, names.sh_size)) return fail("read", path_, "bad section names");
  for (const Elf64_Shdr& section : headers) {
    if (section.sh_type != SHT_NOBITS && !inside(section.sh_offset, section.sh_size)) {
      return fail("read", path_, "a section lies outside the file");
    }
    Section entry{.name = {}, .header = section};
    if (section.sh_name < names.sh_size) {
      const char* text =
          reinterpret_cast<const char*>(bytes_.data() + names.sh_offset + section.sh_name);
      entry.name.assign(text, strnlen(text, names.sh_size - section.sh_name));
    }
    sections_.push_back(std::move(entry));
  }
  return {};
}

Result<std::vector<CodeRange>> LibraryFile::frame_functions() const {
  std::vector<CodeRange> functions;
  for (const Section& section : sections_) {
    if (section.name != ".eh_frame" || section.header.sh_type == SHT_NOBITS) continue;
    auto found = read_frame_section(
        {bytes_.data() + section.header.sh_offset, section.header.sh_size}, section.header.sh_addr);
    if (!found) return with_context(found.error(), "read .eh_frame of", path_);
    for (const auto& [start, end] : *found) functions.push_back({start, end, 0, true});
  }
  std::sort(functions.begin(), functions.end(),
            [](const CodeRange& a, const CodeRange& b) { return a.address < b.address; });
  return functions;
}

Result<std::vector<CodeRange>> LibraryFile::code_ranges() const {
  auto functions = frame_functions();
  if (!functions) return tl::unexpected(functions.error());
  std::vector<CodeRange> ranges;
  for (const Section& section : sections_) {
    const Elf64_Shdr& header = section.header;
    if (!(header.sh_flags & SHF_EXECINSTR) || header.sh_type == SHT_NOBITS) continue;
    const std::uint64_t end = header.sh_addr + header.sh_size;
    std::uint64_t at = header.sh_addr;
    const auto add = [&](std::uint64_t from, std::uint64_t to, bool function) {
      if (from < to)
        ranges.push_back({from, to, header.sh_offset + (from - header.sh_addr), function});
    };
    for (const CodeRange& function : *functions) {
      if (function.end <= at || function.address >= end) continue;
      add(at, std::max(at, function.address), false);
      add(std::max(at, function.address), std::min(end, function.end), true);
      at = std::max(at, std::min(end, function.end));
    }
    add(at, end, false);
  }
  return ranges;
}

}  // namespace ckpt::rewrite
