// Bytes, durations and times as people read them. Threads: no state. Errors: none.
#pragma once

#include <cstdint>
#include <string>

namespace ckpt::coordinator {

void tell(const std::string& text);               // "ckpt-coord: TEXT" on stderr
std::string in_words(std::uint64_t bytes);        // "1.5 GiB"
std::string seconds_in_words(double seconds);     // "12 ms", "3.4 s", "2 min 5 s"
std::string time_in_words(std::int64_t unix_ns);  // local time

}  // namespace ckpt::coordinator
