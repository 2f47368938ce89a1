// Input: what the fuzzer gave, taken bit by bit; zeroes when it has run out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace ckpt::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}

  template <typename T>
  T number() {
    T value{};
    const std::size_t size = std::min(left_, sizeof value);
    if (size > 0) std::memcpy(&value, at_, size);
    skip(size);
    return value;
  }
  std::vector<std::uint8_t> bytes(std::size_t size) {
    size = std::min(size, left_);
    std::vector<std::uint8_t> some(at_, at_ + size);
    skip(size);
    return some;
  }
  std::vector<std::uint8_t> rest() { return bytes(left_); }
  std::string rest_as_text() {
    const auto some = rest();
    return {some.begin(), some.end()};
  }
  std::size_t left() const { return left_; }

 private:
  void skip(std::size_t size) {
    at_ += size;
    left_ -= size;
  }
  const std::uint8_t* at_;
  std::size_t left_;
};

// What must hold whatever the input is: the fuzzer finds an abort.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace ckpt::fuzz
