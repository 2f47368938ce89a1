#include "coordinator/terminal/words.hpp"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <iterator>

namespace ckpt::coordinator {

void tell(const std::string& text) { std::fprintf(stderr, "ckpt-coord: %s\n", text.c_str()); }

std::string in_words(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string seconds_in_words(double seconds) {
  char text[48];
  if (seconds < 1) {
    std::snprintf(text, sizeof text, "%.0f ms", seconds * 1e3);
  } else if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else {
    const auto whole = static_cast<long long>(std::llround(seconds));
    std::snprintf(text, sizeof text, "%lld min %lld s", whole / 60, whole % 60);
  }
  return text;
}

std::string time_in_words(std::int64_t unix_ns) {
  const std::time_t when = static_cast<std::time_t>(unix_ns / 1'000'000'000);
  std::tm local{};
  char text[64];
  if (::localtime_r(&when, &local) == nullptr) return "?";
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

}  // namespace ckpt::coordinator
