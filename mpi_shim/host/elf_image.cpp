#include "mpi_shim/host/elf_image.hpp"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/raw_syscalls.h"
#include "mpi_shim/host/steering.hpp"

namespace ckpt::lower {
namespace {

constexpr int kMaxHeaders = 32;

struct Headers {
  Elf64_Ehdr file;
  Elf64_Phdr program[kMaxHeaders];
};

long read_headers(int fd, Headers* headers) {
  const Elf64_Ehdr& file = headers->file;
  if (raw::pread(fd, &headers->file, sizeof file, 0) != sizeof file) return -ENOEXEC;
  if (file.e_ident[0] != ELFMAG0 || file.e_ident[1] != ELFMAG1 || file.e_ident[2] != ELFMAG2 ||
      file.e_ident[3] != ELFMAG3 || file.e_machine != EM_X86_64 || file.e_type != ET_DYN ||
      file.e_phnum > kMaxHeaders || file.e_phentsize != sizeof(Elf64_Phdr)) {
    return -ENOEXEC;
  }
  const long size = file.e_phnum * sizeof(Elf64_Phdr);
  return raw::pread(fd, headers->program, size, file.e_phoff) == size ? 0 : -ENOEXEC;
}

int protection_of(const Elf64_Phdr& segment) {
  return ((segment.p_flags & PF_R) ? PROT_READ : 0) | ((segment.p_flags & PF_W) ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) ? PROT_EXEC : 0);
}

// The part of a segment that has no file behind it: zero.
long map_bss(const Elf64_Phdr& segment, uint64_t bias) {
  const uint64_t file_end = bias + segment.p_vaddr + segment.p_filesz;
  const uint64_t end = bias + segment.p_vaddr + segment.p_memsz;
  volatile uint8_t* byte = reinterpret_cast<uint8_t*>(file_end);
  const uint64_t mapped_end = page_up(file_end);
  if (segment.p_flags & PF_W) {
    // To the end of the page: ld.so gives out what lies behind its own bss.
    for (uint64_t at = file_end; at < mapped_end; ++at) *byte++ = 0;
  }
  if (end <= mapped_end) return 0;
  const long at = raw::mmap(mapped_end, page_up(end) - mapped_end, protection_of(segment),
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return raw::failed(at) ? at : 0;
}

long map_segment(int fd, const Elf64_Phdr& segment, uint64_t bias) {
  const uint64_t start = page_down(bias + segment.p_vaddr);
  const uint64_t skew = bias + segment.p_vaddr - start;
  if (segment.p_filesz > 0) {
    const long at =
        steered_mmap(start, segment.p_filesz + skew, protection_of(segment),
                     MAP_PRIVATE | MAP_FIXED, fd, static_cast<int64_t>(segment.p_offset - skew));
    if (raw::failed(at)) return at;
  }
  return segment.p_memsz > segment.p_filesz ? map_bss(segment, bias) : 0;
}

long map_segments(int fd, const Headers& headers, ElfImage* image) {
  uint64_t low = ~0ull, high = 0;
  for (int i = 0; i < headers.file.e_phnum; ++i) {
    const Elf64_Phdr& segment = headers.program[i];
    if (segment.p_type != PT_LOAD) continue;
    if (page_down(segment.p_vaddr) < low) low = page_down(segment.p_vaddr);
    if (page_up(segment.p_vaddr + segment.p_memsz) > high) {
      high = page_up(segment.p_vaddr + segment.p_memsz);
    }
  }
  if (low >= high) return -ENOEXEC;
  const long place = arena_reserve(high - low);
  if (raw::failed(place)) return place;
  image->bias = place - low;
  for (int i = 0; i < headers.file.e_phnum; ++i) {
    const Elf64_Phdr& segment = headers.program[i];
    if (segment.p_type == PT_PHDR) image->program_headers = image->bias + segment.p_vaddr;
    if (segment.p_type == PT_INTERP && segment.p_filesz <= sizeof image->interpreter) {
      raw::pread(fd, image->interpreter, segment.p_filesz, segment.p_offset);
    }
    if (segment.p_type != PT_LOAD) continue;
    const long mapped = map_segment(fd, segment, image->bias);
    if (mapped != 0) return mapped;
    if (image->program_headers == 0 && segment.p_offset == 0) {
      image->program_headers = image->bias + segment.p_vaddr + headers.file.e_phoff;
    }
  }
  return 0;
}

}  // namespace

long map_elf(const char* path, ElfImage* image) {
  const int fd = raw::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  Headers headers;
  long result = read_headers(fd, &headers);
  if (result == 0) result = map_segments(fd, headers, image);
  raw::close(fd);
  if (result != 0) return result;
  image->entry = image->bias + headers.file.e_entry;
  image->program_header_count = headers.file.e_phnum;
  image->program_header_size = headers.file.e_phentsize;
  return 0;
}

}  // namespace ckpt::lower
