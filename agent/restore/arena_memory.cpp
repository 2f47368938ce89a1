#include "agent/restore/arena_memory.hpp"

#include <sys/mman.h>

#include <cstring>

#include "fmt/format.h"

namespace ckpt::restore {
namespace {

constexpr std::uint64_t kGrowth = 1 << 20;

}  // namespace

Result<void*> ArenaMemory::allocate(std::size_t size, std::size_t alignment) {
  const std::uint64_t at = (at_ + alignment - 1) / alignment * alignment;
  if (at + size > limit_) {
    return fail("allocate arena memory", fmt::format("{} bytes", size),
                "the restorer's zone is full", ENOMEM);
  }
  if (at + size > end_) {
    const std::uint64_t more = (at + size - end_ + kGrowth - 1) / kGrowth * kGrowth;
    void* got = ::mmap(reinterpret_cast<void*>(end_), more, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED) return fail_errno("mmap", fmt::format("arena {:#x}", end_));
    end_ += more;
  }
  at_ = at + size;
  return reinterpret_cast<void*>(at);
}

Result<char*> ArenaMemory::text(const std::string& value) {
  auto at = array<char>(value.size() + 1);
  if (at) std::memcpy(*at, value.c_str(), value.size() + 1);
  return at;
}

}  // namespace ckpt::restore
