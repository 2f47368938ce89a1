#include "format/wire/channel_list.hpp"

#include <limits>

namespace ckpt::wire {
namespace {

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

}  // namespace

void ChannelList::add(const Channel& channel) {
  varint(zigzag(std::int64_t{channel.destination} - last_.destination));
  varint(zigzag(std::int64_t{channel.source} - last_.source));
  varint(channel.count);
  last_ = channel;
  ++size_;
}

void ChannelList::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<std::uint8_t>(value | 0x80));
  bytes_.push_back(static_cast<std::uint8_t>(value));
}

std::optional<ChannelList> ChannelList::unpack(std::uint32_t size,
                                               std::span<const std::uint8_t> packed) {
  ChannelList list;
  Walk walk(packed);
  for (std::uint32_t i = 0; i < size; ++i) {
    if (!walk.next()) return std::nullopt;
  }
  if (!walk.at_end()) return std::nullopt;
  list.bytes_.assign(packed.begin(), packed.end());
  list.size_ = size;
  list.last_ = walk.channel();
  return list;
}

bool ChannelList::Walk::next() {
  return moved(channel_.destination) && moved(channel_.source) && varint(channel_.count);
}

bool ChannelList::Walk::varint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
    const std::uint8_t byte = bytes_[at_++];
    const std::uint64_t bits = byte & 0x7fu;
    if (shift == 63 && bits > 1) return false;
    value |= bits << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

bool ChannelList::Walk::moved(std::int32_t& rank) {
  std::uint64_t coded = 0;
  if (!varint(coded)) return false;
  // More than any two ranks are apart: nothing add() writes.
  if (coded > 2 * std::uint64_t{std::numeric_limits<std::uint32_t>::max()} + 1) return false;
  const std::int64_t value = rank + unzigzag(coded);
  if (value < std::numeric_limits<std::int32_t>::min() ||
      value > std::numeric_limits<std::int32_t>::max()) {
    return false;
  }
  rank = static_cast<std::int32_t>(value);
  return true;
}

}  // namespace ckpt::wire
