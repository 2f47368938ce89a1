// ProgressLine: what is under way, on stderr.
//
// Purpose: on a terminal one line, drawn again and again, gone at the end;
//   elsewhere (a batch job's file) a plain line a milestone, nothing more.
// Ownership: stderr is everybody's: clear() before anything else is printed.
// Threads: one. Units: bytes, seconds. Errors: none; what cannot be printed is lost.
#pragma once

#include <cstdint>
#include <string>

namespace ckpt::coordinator {

class ProgressLine {
 public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void redraw(const std::string& text);     // on a terminal only
  void milestone(const std::string& text);  // elsewhere only
  void clear();

 private:
  bool quiet_, terminal_, drawn_ = false;
};

// "1.2 GiB of 4.0 GiB  850.0 MiB/s"; without a rate in the first moments.
std::string bytes_and_rate(std::uint64_t done, std::uint64_t total, double seconds);

}  // namespace ckpt::coordinator
