#include "format/tls/job_key.hpp"

#include <string.h>
#include <sys/random.h>

namespace ckpt::tls {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

Result<JobKey> JobKey::make() {
  JobKey key;
  // Requests of up to 256 bytes are never cut short once the kernel's pool is ready.
  if (::getrandom(key.bytes_.data(), kBytes, 0) != static_cast<ssize_t>(kBytes))
    return fail_errno("getrandom", "");
  return key;
}

Result<JobKey> JobKey::from_text(std::string_view digits) {
  JobKey key;
  bool good = digits.size() == 2 * kBytes;
  for (std::size_t i = 0; good && i < kBytes; ++i) {
    const int high = value_of(digits[2 * i]), low = value_of(digits[2 * i + 1]);
    good = high >= 0 && low >= 0;
    if (good) key.bytes_[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (!good) return fail("read", "the job's key", "it is not 64 hexadecimal digits", EINVAL);
  return key;
}

JobKey::~JobKey() { ::explicit_bzero(bytes_.data(), bytes_.size()); }

std::string JobKey::text() const {
  std::string digits;
  for (const std::uint8_t byte : bytes_) {
    digits += kDigits[byte >> 4];
    digits += kDigits[byte & 15];
  }
  return digits;
}

}  // namespace ckpt::tls
