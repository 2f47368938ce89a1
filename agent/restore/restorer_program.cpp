#include "agent/restore/restorer_program.hpp"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "fmt/format.h"
#include "format/posix/try.hpp"

namespace ckpt::restore {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t page_down(std::uint64_t value) { return value & ~(kPage - 1); }
std::uint64_t page_up(std::uint64_t value) { return page_down(value + kPage - 1); }

int protection_of(std::uint32_t flags) {
  return ((flags & PF_R) != 0 ? PROT_READ : 0) | ((flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((flags & PF_X) != 0 ? PROT_EXEC : 0);
}

// The program's bytes, with checks that keep every access inside them.
class Program {
 public:
  Program(std::string path, std::vector<char> bytes)
      : path_(std::move(path)), bytes_(std::move(bytes)) {}

  Status check() {
    if (bytes_.size() < sizeof header_) return refuse("too short");
    std::memcpy(&header_, bytes_.data(), sizeof header_);
    if (std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0 || header_.e_machine != EM_X86_64 ||
        header_.e_type != ET_DYN) {
      return refuse("not an x86-64 static PIE");
    }
    if (header_.e_phoff + std::uint64_t{header_.e_phnum} * sizeof(Elf64_Phdr) > bytes_.size()) {
      return refuse("program headers beyond its end");
    }
    for (int i = 0; i < header_.e_phnum; ++i) {
      Elf64_Phdr segment;
      std::memcpy(&segment, bytes_.data() + header_.e_phoff + i * sizeof segment, sizeof segment);
      if (segment.p_type == PT_INTERP) return refuse("needs a dynamic linker");
      if (segment.p_type == PT_LOAD && segment.p_offset + segment.p_filesz > bytes_.size()) {
        return refuse("a segment beyond its end");
      }
      segments_.push_back(segment);
    }
    return {};
  }

  Status map(std::uint64_t bias) const {
    std::uint64_t low = ~0ull, high = 0;
    for (const auto& segment : segments_) {
      if (segment.p_type != PT_LOAD) continue;
      low = std::min(low, page_down(segment.p_vaddr));
      high = std::max(high, page_up(segment.p_vaddr + segment.p_memsz));
    }
    void* got = ::mmap(reinterpret_cast<void*>(bias + low), high - low, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED) return fail_errno("mmap", path_);
    for (const auto& segment : segments_) {
      if (segment.p_type != PT_LOAD) continue;
      std::memcpy(reinterpret_cast<void*>(bias + segment.p_vaddr), bytes_.data() + segment.p_offset,
                  segment.p_filesz);
    }
    return {};
  }

  Status relocate(std::uint64_t bias) const {
    for (const auto& segment : segments_) {
      if (segment.p_type != PT_DYNAMIC) continue;
      std::uint64_t table = 0, size = 0;
      const auto* entry = reinterpret_cast<const Elf64_Dyn*>(bias + segment.p_vaddr);
      for (; entry->d_tag != DT_NULL; ++entry) {
        if (entry->d_tag == DT_RELA) table = entry->d_un.d_ptr;
        if (entry->d_tag == DT_RELASZ) size = entry->d_un.d_val;
        if (entry->d_tag == DT_JMPREL || entry->d_tag == DT_NEEDED)
          return refuse("needs a dynamic linker");
      }
      const auto* at = reinterpret_cast<const Elf64_Rela*>(bias + table);
      for (std::uint64_t i = 0; i < size / sizeof *at; ++i) {
        if (ELF64_R_TYPE(at[i].r_info) != R_X86_64_RELATIVE)
          return refuse("has other than relative relocations");
        *reinterpret_cast<std::uint64_t*>(bias + at[i].r_offset) =
            bias + static_cast<std::uint64_t>(at[i].r_addend);
      }
    }
    return {};
  }

  Status protect(std::uint64_t bias) const {
    for (const auto& segment : segments_) {
      if (segment.p_type != PT_LOAD) continue;
      const std::uint64_t start = page_down(segment.p_vaddr);
      const std::uint64_t end = page_up(segment.p_vaddr + segment.p_memsz);
      if (::mprotect(reinterpret_cast<void*>(bias + start), end - start,
                     protection_of(segment.p_flags)) != 0) {
        return fail_errno("mprotect", path_);
      }
    }
    return {};
  }

  std::uint64_t entry() const { return header_.e_entry; }

 private:
  Failure refuse(const std::string& why) const { return fail("load", path_, why); }

  std::string path_;
  std::vector<char> bytes_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
};

// glibc registered this thread's rseq; newer ones register more than
// __rseq_size says, so its historical size is tried too.
void unregister_rseq() {
  if (__rseq_size == 0) return;
  auto* area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  constexpr unsigned kHistoricalSize = 32;
  if (::syscall(SYS_rseq, area, kHistoricalSize, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) != 0) {
    ::syscall(SYS_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
  }
}

}  // namespace

Result<std::uint64_t> load_restorer(const std::string& path, std::uint64_t at) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("open", path);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Program program(path, std::move(bytes));
  CKPT_TRY(program.check());
  CKPT_TRY(program.map(at));
  CKPT_TRY(program.relocate(at));
  CKPT_TRY(program.protect(at));
  return at + program.entry();
}

void enter_restorer(std::uint64_t entry, ckpt_restore_plan* plan, std::uint64_t stack_top) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  unregister_rseq();
  asm volatile(
      "mov %[stack], %%rsp\n\t"
      "jmp *%[entry]"
      :
      : [stack] "r"(stack_top), [entry] "r"(entry), "D"(plan)
      : "memory");
  __builtin_unreachable();
}

}  // namespace ckpt::restore
