// ArenaMemory: memory at a known place of the arena, handed out piece by piece.
//
// Purpose: the restore plan and all it points to must lie where the restorer
//   does not unmap it.
// Ownership: what is handed out stays mapped: the process becomes another one,
//   and the restorer unmaps the scratch part itself.
// Threads: one. Units: bytes.
// Errors: mmap's errno; a range in use is EEXIST.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "format/posix/result.hpp"

namespace ckpt::restore {

class ArenaMemory {
 public:
  ArenaMemory(std::uint64_t start, std::uint64_t limit)
      : start_(start), at_(start), end_(start), limit_(limit) {}

  // Zeroed bytes.
  Result<void*> allocate(std::size_t size, std::size_t alignment = 16);

  // At least one element, so that the pointer is never null.
  template <typename T>
  Result<T*> array(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    auto at = allocate(sizeof(T) * (count == 0 ? 1 : count), alignof(T));
    if (!at) return tl::unexpected(at.error());
    return static_cast<T*>(*at);
  }
  Result<char*> text(const std::string& value);

  std::uint64_t start() const { return start_; }
  std::uint64_t size() const { return end_ - start_; }

 private:
  std::uint64_t start_, at_, end_, limit_;
};

}  // namespace ckpt::restore
