// A number that is all of a text, as in the names and files of a job directory.
//
// Threads: no state. Errors: false, and the number is then not to be used.
// Source: std::from_chars; for the shim as well: no exceptions.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace ckpt {

template <typename Number>
bool whole_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace ckpt
