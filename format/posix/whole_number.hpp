// A number that is all of a text, as in the names of a job directory and in /proc.
//
// Threads: no state. Errors: false, and the number is then not to be used.
// Source: std::from_chars; for the shim as well: no exceptions.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace ckpt {

template <typename Number>
bool whole_number(std::string_view text, Number& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace ckpt
