// JobKey: the key that a job's coordinator, agents and commands share.
//
// Purpose: 32 random bytes of the kernel, made anew by each coordinator that
//   starts, kept in coordinator.json (0600) as 64 hexadecimal digits. Who knows
//   it is the job's user; it never travels.
// Ownership: a value; its bytes are wiped when it goes. Threads: no state.
// Errors: a text that is not 64 hexadecimal digits (the text is not repeated).
// Source: getrandom(2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/posix/result.hpp"

namespace ckpt::tls {

class JobKey {
 public:
  static constexpr std::size_t kBytes = 32;

  static Result<JobKey> make();
  static Result<JobKey> from_text(std::string_view digits);

  JobKey(const JobKey&) = default;
  JobKey& operator=(const JobKey&) = default;
  ~JobKey();

  std::string text() const;
  const std::array<std::uint8_t, kBytes>& bytes() const { return bytes_; }

 private:
  JobKey() = default;
  std::array<std::uint8_t, kBytes> bytes_{};
};

}  // namespace ckpt::tls
