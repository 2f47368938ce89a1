#include "coordinator/terminal/progress_line.hpp"

#include <unistd.h>

#include <cstdio>

#include "coordinator/terminal/words.hpp"

namespace ckpt::coordinator {

ProgressLine::ProgressLine(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) != 0) {}

void ProgressLine::redraw(const std::string& text) {
  if (quiet_ || !terminal_) return;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  drawn_ = true;
}

void ProgressLine::milestone(const std::string& text) {
  if (!quiet_ && !terminal_) std::fprintf(stderr, "%s\n", text.c_str());
}

void ProgressLine::clear() {
  if (drawn_) std::fprintf(stderr, "\r\033[K");
  drawn_ = false;
}

std::string bytes_and_rate(std::uint64_t done, std::uint64_t total, double seconds) {
  constexpr double kTooShort = 0.2;
  std::string text = in_words(done) + " of " + in_words(total);
  if (seconds > kTooShort) {
    text += "  " + in_words(static_cast<std::uint64_t>(static_cast<double>(done) / seconds)) + "/s";
  }
  return text;
}

}  // namespace ckpt::coordinator
