// Codec of messages.def: each message's fields are visited in table order by a
// Writer or a Reader, so no message has code of its own.
#include <type_traits>

#include "format/wire/messages.hpp"

namespace ckpt::wire {
namespace {

#define CKPT_ENTRY_BEGIN(Name, meaning)                      \
  template <typename Visitor, typename Record>               \
  requires std::is_same_v<std::remove_const_t<Record>, Name> \
  void visit_fields([[maybe_unused]] Visitor& visitor, [[maybe_unused]] Record& record) {
#define CKPT_ENTRY_END(Name) }
#define CKPT_MESSAGE_BEGIN(Name, number, sender, receiver, meaning) CKPT_ENTRY_BEGIN(Name, meaning)
#define CKPT_MESSAGE_END(Name) }
#define CKPT_FIELD(type, name, meaning) visitor.field(record.name);
#include "format/wire/messages.def"
#undef CKPT_ENTRY_BEGIN
#undef CKPT_ENTRY_END
#undef CKPT_MESSAGE_BEGIN
#undef CKPT_MESSAGE_END
#undef CKPT_FIELD

class Writer {
 public:
  template <typename T>
  void field(const T& value) {
    if constexpr (std::is_integral_v<T>) {
      using Unsigned = std::make_unsigned_t<T>;
      const auto bits = static_cast<Unsigned>(value);
      for (std::size_t i = 0; i < sizeof(T); ++i) {
        bytes_.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(bits) >> (8 * i)));
      }
    } else {
      visit_fields(*this, value);
    }
  }

  void field(const std::string& text) {
    count(text.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }

  template <typename T>
  void field(const std::vector<T>& list) {
    count(list.size());
    for (const T& item : list) field(item);
  }

  void field(const ChannelList& channels) {
    field(channels.size());
    count(channels.packed().size());
    bytes_.insert(bytes_.end(), channels.packed().begin(), channels.packed().end());
  }

  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  // A list too long for its count makes the frame too long as well, which
  // encode() refuses; the truncated count is never sent.
  void count(std::size_t elements) { field(static_cast<std::uint32_t>(elements)); }

  std::vector<std::uint8_t> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  void field(T& value) {
    if constexpr (std::is_integral_v<T>) {
      if (!take(sizeof(T))) return;
      std::uint64_t bits = 0;
      for (std::size_t i = 0; i < sizeof(T); ++i) {
        bits |= static_cast<std::uint64_t>(bytes_[at_ - sizeof(T) + i]) << (8 * i);
      }
      value = static_cast<T>(bits);
    } else {
      visit_fields(*this, value);
    }
  }

  void field(std::string& text) {
    std::uint32_t length = 0;
    field(length);
    if (!take(length)) return;
    text.assign(reinterpret_cast<const char*>(bytes_.data()) + at_ - length, length);
  }

  template <typename T>
  void field(std::vector<T>& list) {
    std::uint32_t elements = 0;
    field(elements);
    // Grows with what is really there: a lying count cannot make it allocate.
    for (std::uint32_t i = 0; i < elements && ok_; ++i) {
      T item{};
      field(item);
      if (ok_) list.push_back(std::move(item));
    }
  }

  void field(ChannelList& channels) {
    std::uint32_t size = 0, length = 0;
    field(size);
    field(length);
    if (!take(length)) return;
    auto unpacked = ChannelList::unpack(size, bytes_.subspan(at_ - length, length));
    ok_ = unpacked.has_value();
    if (ok_) channels = std::move(*unpacked);
  }

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  bool take(std::size_t bytes) {
    if (!ok_ || bytes_.size() - at_ < bytes) {
      ok_ = false;
      return false;
    }
    at_ += bytes;
    return true;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

template <typename T>
Result<Message> decode_as(Reader& reader) {
  T message;
  visit_fields(reader, message);
  if (!reader.ok()) return fail("decode message", T::kName, "cut short");
  if (!reader.at_end()) return fail("decode message", T::kName, "bytes left over");
  return Message(std::move(message));
}

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kNumberBytes = 2;

}  // namespace

std::string_view message_name(const Message& message) {
  return std::visit(
      [](const auto& held) -> std::string_view {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return "none";
        } else {
          return held.kName;
        }
      },
      message);
}

std::optional<Side> message_sender(const Message& message) {
  return std::visit(
      [](const auto& held) -> std::optional<Side> {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return std::nullopt;
        } else {
          return held.kSender;
        }
      },
      message);
}

Result<std::vector<std::uint8_t>> encode(const Message& message) {
  Writer writer;
  writer.field(std::uint32_t{0});
  std::visit(
      [&writer](const auto& held) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          writer.field(held.kNumber);
          visit_fields(writer, held);
        }
      },
      message);
  std::vector<std::uint8_t>& bytes = writer.bytes();
  const std::size_t length = bytes.size() - kLengthBytes;
  if (length == 0) return fail("encode message", "none", "there is nothing to send");
  if (length > kMaxFrame) {
    return fail("encode message", std::string(message_name(message)),
                std::to_string(length) + " bytes are more than a frame may have");
  }
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    bytes[i] = static_cast<std::uint8_t>(length >> (8 * i));
  }
  return std::move(bytes);
}

Result<Message> decode(std::span<const std::uint8_t> body) {
  Reader reader(body);
  std::uint16_t number = 0;
  reader.field(number);
  if (!reader.ok()) return fail("decode message", "", "no message number");
  switch (number) {
#define CKPT_ENTRY_BEGIN(Name, meaning)
#define CKPT_ENTRY_END(Name)
#define CKPT_MESSAGE_BEGIN(Name, number, sender, receiver, meaning) \
  case number:                                                      \
    return decode_as<Name>(reader);
#define CKPT_MESSAGE_END(Name)
#define CKPT_FIELD(type, name, meaning)
#include "format/wire/messages.def"
#undef CKPT_ENTRY_BEGIN
#undef CKPT_ENTRY_END
#undef CKPT_MESSAGE_BEGIN
#undef CKPT_MESSAGE_END
#undef CKPT_FIELD
    default: return fail("decode message", "number " + std::to_string(number), "unknown");
  }
}

void FrameReader::append(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kKept = 1u << 12;  // thousands of readers must stay small
  if (begin_ > 0 && begin_ == buffer_.size()) {
    if (buffer_.capacity() > kKept) std::vector<std::uint8_t>().swap(buffer_);
    buffer_.clear();
    begin_ = 0;
  } else if (begin_ > (1u << 20)) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Message>> FrameReader::next() {
  if (broken_) return fail("read frame", "", "the stream is broken");
  const std::size_t available = buffer_.size() - begin_;
  if (available < kLengthBytes) return std::optional<Message>();
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<std::uint32_t>(buffer_[begin_ + i]) << (8 * i);
  }
  if (length < kNumberBytes || length > max_frame_) {
    broken_ = true;
    return fail("read frame", "", "length " + std::to_string(length) + " is out of range");
  }
  if (available - kLengthBytes < length) return std::optional<Message>();
  const std::span<const std::uint8_t> body(buffer_.data() + begin_ + kLengthBytes, length);
  Result<Message> message = decode(body);
  begin_ += kLengthBytes + length;
  if (!message) {
    broken_ = true;
    return tl::unexpected(message.error());
  }
  return std::optional<Message>(std::move(*message));
}

}  // namespace ckpt::wire
