#include "mpi_shim/host/rewrite/frame_section.hpp"

#include <cstring>
#include <map>
#include <optional>
#include <string>

namespace ckpt::rewrite {
namespace {

constexpr std::uint8_t kPcRelative = 0x10, kAbsolute = 0x00;

// A cursor over bytes; reading past the end makes it bad and yields zeros.
class Cursor {
 public:
  Cursor(std::span<const std::uint8_t> bytes, std::size_t at) : bytes_(bytes), at_(at) {}

  template <typename T>
  T take() {
    T value{};
    if (at_ + sizeof value > bytes_.size()) {
      bad_ = true;
      return value;
    }
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::uint64_t leb128() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = take<std::uint8_t>();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (!(byte & 0x80)) break;
    }
    return value;
  }
  std::string text() {
    std::string value;
    for (auto byte = take<std::uint8_t>(); byte != 0 && !bad_; byte = take<std::uint8_t>())
      value += byte;
    return value;
  }
  void skip(std::size_t count) { at_ += count; }
  std::size_t at() const { return at_; }
  bool bad() const { return bad_ || at_ > bytes_.size(); }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_;
  bool bad_ = false;
};

// A pointer of the given DW_EH_PE encoding without its base; nullopt for
// encodings no compiler of this platform uses in text.
std::optional<std::int64_t> encoded(Cursor& cursor, std::uint8_t encoding) {
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c: return cursor.take<std::int64_t>();
    case 0x02: return cursor.take<std::uint16_t>();
    case 0x03: return cursor.take<std::uint32_t>();
    case 0x0a: return cursor.take<std::int16_t>();
    case 0x0b: return cursor.take<std::int32_t>();
    default: return std::nullopt;
  }
}

// The FDE pointer encoding of the CIE at `at` (behind its id field).
std::optional<std::uint8_t> pointer_encoding(std::span<const std::uint8_t> section,
                                             std::size_t at) {
  Cursor cie(section, at);
  const auto version = cie.take<std::uint8_t>();
  const std::string augmentation = cie.text();
  cie.leb128();
  cie.leb128();
  if (version == 1) {
    cie.take<std::uint8_t>();
  } else {
    cie.leb128();
  }
  if (augmentation.empty() || augmentation[0] != 'z') return kAbsolute;
  cie.leb128();
  for (std::size_t i = 1; i < augmentation.size(); ++i) {
    switch (augmentation[i]) {
      case 'R': return cie.bad() ? std::nullopt : std::optional(cie.take<std::uint8_t>());
      case 'L': cie.take<std::uint8_t>(); break;
      case 'P': {
        const auto encoding = cie.take<std::uint8_t>();
        if (!encoded(cie, encoding)) return std::nullopt;
        break;
      }
      case 'S':
      case 'B': break;
      default: return std::nullopt;
    }
  }
  return kAbsolute;
}

}  // namespace

Result<std::vector<std::pair<std::uint64_t, std::uint64_t>>> read_frame_section(
    std::span<const std::uint8_t> section, std::uint64_t address) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  std::map<std::size_t, std::uint8_t> encodings;  // by offset of the CIE
  std::size_t at = 0;
  while (at + 4 <= section.size()) {
    Cursor record(section, at);
    std::uint64_t length = record.take<std::uint32_t>();
    if (length == 0) {  // a terminator; linkers leave some in the middle
      at += 4;
      continue;
    }
    if (length == 0xffffffff) length = record.take<std::uint64_t>();
    const std::size_t body = record.at();
    const auto id = record.take<std::uint32_t>();
    if (record.bad() || length > section.size() - body)
      return fail("decode", "a record", "it is cut off");
    if (id == 0) {
      const auto encoding = pointer_encoding(section, record.at());
      if (!encoding) return fail("decode", "a CIE", "unknown augmentation or encoding");
      encodings[at] = *encoding;
    } else {
      const auto known = encodings.find(body - id);
      if (known == encodings.end()) return fail("decode", "an FDE", "its CIE is missing");
      const std::uint64_t place = address + record.at();
      const auto start = encoded(record, known->second);
      const auto size = encoded(record, known->second & 0x0f);
      const std::uint8_t base = known->second & 0x70;
      if (!start || !size || (base != kPcRelative && base != kAbsolute)) {
        return fail("decode", "an FDE", "unknown pointer encoding");
      }
      const std::uint64_t from = *start + (base == kPcRelative ? place : 0);
      if (*size > 0) ranges.emplace_back(from, from + static_cast<std::uint64_t>(*size));
    }
    at = body + length;
  }
  return ranges;
}

}  // namespace ckpt::rewrite
