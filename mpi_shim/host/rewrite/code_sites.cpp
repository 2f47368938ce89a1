#include "mpi_shim/host/rewrite/code_sites.hpp"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "mpi_shim/host/arena.hpp"

namespace ckpt::rewrite {
namespace {

constexpr std::uint8_t kFsPrefix = 0x64;
constexpr std::size_t kSiteSize = 7;

// System calls that place memory or make threads: where the lower half makes
// them with a number known in the code, they are steered.
struct SteeredCall {
  std::uint32_t number;
  lower::Steer kind;
};
constexpr SteeredCall kSteeredCalls[] = {{9, lower::kSteerMmap},
                                         {12, lower::kSteerBrk},
                                         {25, lower::kSteerMremap},
                                         {30, lower::kSteerShmat},
                                         {435, lower::kSteerClone3}};

class Scanner {
 public:
  Scanner(const LibraryFile& library, CodeSites& sites) : bytes_(library.bytes()), sites_(sites) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  Status scan(const CodeRange& range) {
    const std::uint8_t* from = bytes_.data() + range.offset;
    const std::size_t size = range.end - range.address;
    const bool interesting =
        std::memchr(from, kFsPrefix, size) != nullptr || has_system_call(from, size);
    if (!interesting) return {};
    return range.function ? scan_function(range) : scan_gap(range);
  }

  // A branch into the seven bytes of a site would land in half a call.
  Status check_sites() const {
    for (const lower::SteerSite& site : sites_.steered) {
      for (std::uint64_t inside = site.file_offset + 1; inside < site.file_offset + kSiteSize;
           ++inside) {
        if (!targets_.contains(inside)) continue;
        return fail("steer", fmt::format("the system call at file offset {:#x}", site.file_offset),
                    "a branch leads into it");
      }
    }
    return {};
  }

 private:
  static bool has_system_call(const std::uint8_t* from, std::size_t size) {
    static constexpr std::uint8_t kSystemCall[] = {0x0f, 0x05};
    return std::search(from, from + size, std::begin(kSystemCall), std::end(kSystemCall)) !=
           from + size;
  }

  bool decode(std::uint64_t offset, std::size_t room, ZydisDecodedInstruction* instruction) {
    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes_.data() + offset,
                                                      room, instruction));
  }

  // From the first instruction on, one after the other.
  Status scan_function(const CodeRange& range) {
    const std::size_t size = range.end - range.address;
    for (std::size_t at = 0; at < size;) {
      ZydisDecodedInstruction instruction;
      if (!decode(range.offset + at, size - at, &instruction)) return undecodable(range, at);
      note_fs(range.offset + at, instruction);
      note_branch(range.offset + at, instruction);
      note_system_call(range.offset + at, instruction);
      at += instruction.length;
    }
    return {};
  }

  // Data in code is harmless as long as nothing in the rest looks like %fs.
  Status undecodable(const CodeRange& range, std::size_t at) {
    for (std::uint64_t offset = range.offset + at;
         offset < range.offset + (range.end - range.address); ++offset) {
      if (plausible_fs_access(offset, range)) {
        return fail(
            "decode", fmt::format("code at {:#x}", range.address + at),
            fmt::format(
                "not an instruction, and what may be an %fs access stands behind it at {:#x}",
                range.address + (offset - range.offset)));
      }
    }
    return {};
  }

  // Between functions: padding, and assembly without frame descriptions.
  Status scan_gap(const CodeRange& range) {
    const std::size_t size = range.end - range.address;
    for (std::size_t at = 0; at < size;) {
      ZydisDecodedInstruction instruction;
      if (!decode(range.offset + at, size - at, &instruction)) return undecodable(range, at);
      if (accesses_fs(instruction)) {
        if (!plausible_fs_access(range.offset + at, range)) {
          return fail("decode", fmt::format("code at {:#x}", range.address + at),
                      "an %fs access in no known function");
        }
        note_fs(range.offset + at, instruction);
      }
      note_branch(range.offset + at, instruction);
      note_system_call(range.offset + at, instruction);
      at += instruction.length;
    }
    return {};
  }

  static bool accesses_fs(const ZydisDecodedInstruction& instruction) {
    return (instruction.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS) != 0;
  }

  // How compilers address TLS: an absolute or register address, few opcodes.
  bool plausible_fs_access(std::uint64_t offset, const CodeRange& range) {
    if (bytes_[offset] != kFsPrefix) return false;
    const std::uint64_t end = range.offset + (range.end - range.address);
    ZydisDecodedInstruction instruction;
    if (!decode(offset, end - offset, &instruction) || !accesses_fs(instruction)) return false;
    switch (instruction.mnemonic) {
      case ZYDIS_MNEMONIC_MOV:
      case ZYDIS_MNEMONIC_ADD:
      case ZYDIS_MNEMONIC_SUB:
      case ZYDIS_MNEMONIC_XOR:
      case ZYDIS_MNEMONIC_CMP:
      case ZYDIS_MNEMONIC_TEST:
      case ZYDIS_MNEMONIC_AND:
      case ZYDIS_MNEMONIC_OR:
      case ZYDIS_MNEMONIC_MOVZX:
      case ZYDIS_MNEMONIC_MOVSXD:
      case ZYDIS_MNEMONIC_CMPXCHG: return true;
      default: return false;
    }
  }

  void note_fs(std::uint64_t offset, const ZydisDecodedInstruction& instruction) {
    if (!accesses_fs(instruction)) return;
    for (int i = 0; i < instruction.raw.prefix_count; ++i) {
      if (instruction.raw.prefixes[i].value == kFsPrefix) sites_.fs_prefixes.push_back(offset + i);
    }
  }

  // Where a direct branch goes, as file offset (text is one segment).
  void note_branch(std::uint64_t offset, const ZydisDecodedInstruction& instruction) {
    if (instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE ||
        !instruction.raw.imm[0].is_relative)
      return;
    targets_.insert(offset + instruction.length +
                    static_cast<std::uint64_t>(instruction.raw.imm[0].value.s));
  }

  void note_system_call(std::uint64_t offset, const ZydisDecodedInstruction& instruction) {
    if (instruction.mnemonic != ZYDIS_MNEMONIC_SYSCALL || offset < kSiteSize - 2) return;
    const std::uint8_t* site = bytes_.data() + offset - 5;
    static constexpr std::uint8_t kSixthArgument[] = {0x4c, 0x8b, 0x4c, 0x24, 0x08};
    if (std::memcmp(site, kSixthArgument, 5) == 0) {
      sites_.steered.push_back({offset - 5, lower::kSteerSyscall, 0});
      return;
    }
    if (site[0] != 0xb8) return;
    std::uint32_t number;
    std::memcpy(&number, site + 1, sizeof number);
    for (const SteeredCall& call : kSteeredCalls) {
      if (call.number == number) sites_.steered.push_back({offset - 5, call.kind, 0});
    }
  }

  const std::vector<std::uint8_t>& bytes_;
  CodeSites& sites_;
  std::unordered_set<std::uint64_t> targets_;
  ZydisDecoder decoder_;
};

// mov $0x1002 (ARCH_SET_FS), %edi in ld.so.
void find_set_fs(const LibraryFile& library, const std::vector<CodeRange>& ranges,
                 CodeSites& sites) {
  static constexpr std::uint8_t kSetFs[] = {0xbf, 0x02, 0x10, 0x00, 0x00};
  const auto& bytes = library.bytes();
  for (const CodeRange& range : ranges) {
    auto at = bytes.begin() + range.offset;
    const auto end = at + (range.end - range.address);
    for (;;) {
      at = std::search(at, end, std::begin(kSetFs), std::end(kSetFs));
      if (at == end) break;
      sites.set_fs.push_back(static_cast<std::uint64_t>(at - bytes.begin()) + 1);
      ++at;
    }
  }
}

std::size_t count_of(const CodeSites& sites, lower::Steer kind) {
  return std::count_if(sites.steered.begin(), sites.steered.end(),
                       [&](const lower::SteerSite& site) { return site.kind == kind; });
}

// Each of these stands exactly once in glibc; a libc where it does not is one
// we do not know.
Status check_expected(const CodeSites& sites, const std::string& name) {
  struct Expected {
    const char* library;
    lower::Steer kind;
    const char* what;
  };
  static constexpr Expected kExpected[] = {{"ld-linux-x86-64.so.2", lower::kSteerMmap, "mmap"},
                                           {"ld-linux-x86-64.so.2", lower::kSteerBrk, "brk"},
                                           {"libc.so.6", lower::kSteerMmap, "mmap"},
                                           {"libc.so.6", lower::kSteerBrk, "brk"},
                                           {"libc.so.6", lower::kSteerMremap, "mremap"},
                                           {"libc.so.6", lower::kSteerShmat, "shmat"},
                                           {"libc.so.6", lower::kSteerSyscall, "syscall()"},
                                           {"libc.so.6", lower::kSteerClone3, "clone3"}};
  for (const Expected& expected : kExpected) {
    if (name != expected.library) continue;
    const std::size_t found = count_of(sites, expected.kind);
    if (found != 1) {
      return fail("steer", expected.what,
                  fmt::format("its system call stands {} times, not once", found));
    }
  }
  if (name == "ld-linux-x86-64.so.2" && sites.set_fs.empty()) {
    return fail("steer", "arch_prctl", "no ARCH_SET_FS found");
  }
  return {};
}

}  // namespace

Result<CodeSites> find_code_sites(const LibraryFile& library, const std::string& name) {
  auto ranges = library.code_ranges();
  if (!ranges) return tl::unexpected(ranges.error());
  CodeSites sites;
  Scanner scanner(library, sites);
  for (const CodeRange& range : *ranges) {
    if (auto scanned = scanner.scan(range); !scanned) return tl::unexpected(scanned.error());
  }
  if (auto checked = scanner.check_sites(); !checked) return tl::unexpected(checked.error());
  if (name == "ld-linux-x86-64.so.2") find_set_fs(library, *ranges, sites);
  if (auto expected = check_expected(sites, name); !expected)
    return tl::unexpected(expected.error());
  if (sites.steered.size() > lower::kMaxSteerSites) {
    return fail("steer", name, "more system call sites than the copy's table holds");
  }
  return sites;
}

}  // namespace ckpt::rewrite
