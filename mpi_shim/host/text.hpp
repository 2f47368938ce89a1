// Text put together in a fixed buffer, for code that has no libc. What does
// not fit is cut off; the result always ends in a zero byte.
#pragma once

#include <stdint.h>

namespace ckpt::lower {

class Text {
 public:
  Text(char* to, int size) : to_(to), size_(size) {}

  Text& add(const char* more) {
    while (*more != 0 && at_ + 1 < size_) to_[at_++] = *more++;
    to_[at_] = 0;
    return *this;
  }
  Text& hex(uint64_t value) { return number(value, 16); }
  Text& decimal(uint64_t value) { return number(value, 10); }
  void skip_to_end() {
    while (at_ + 1 < size_ && to_[at_] != 0) ++at_;
  }
  int length() const { return at_; }

 private:
  Text& number(uint64_t value, unsigned base) {
    char digits[24];
    int count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0 && at_ + 1 < size_) to_[at_++] = digits[--count];
    to_[at_] = 0;
    return *this;
  }

  char* to_;
  int size_;
  int at_ = 0;
};

}  // namespace ckpt::lower
