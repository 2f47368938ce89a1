// Point-to-point channels with their counts, packed.
//
// Purpose: a big job has millions of communicating pairs, all of which pass the
//   coordinator once a generation. A channel takes 3 to 6 bytes here instead of
//   16, on the wire as in memory: each is the difference from the one before it
//   (zigzag varints of destination and source, varint of the count). So lists
//   sorted by destination are the shortest; any order is right.
// Ownership: values. Threads: no shared state.
// Units: messages since the job began.
// Errors: unpack() checks all; what it let in, or add() made, can be walked.
// Source: PROTOCOL.md "Frames".
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

namespace ckpt::wire {

struct Channel {
  std::int32_t source = 0;       // rank that sent
  std::int32_t destination = 0;  // rank that receives
  std::uint64_t count = 0;       // messages since the job began
  bool operator==(const Channel&) const = default;
};

class ChannelList {
 public:
  ChannelList() = default;
  ChannelList(std::initializer_list<Channel> channels) {
    for (const Channel& channel : channels) add(channel);
  }
  static std::optional<ChannelList> unpack(std::uint32_t size,
                                           std::span<const std::uint8_t> packed);

  void add(const Channel& channel);
  void clear() { *this = ChannelList(); }
  std::uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const std::uint8_t> packed() const { return bytes_; }

  template <typename Use>  // Use(const Channel&)
  void for_each(Use use) const {
    Walk walk(bytes_);
    for (std::uint32_t i = 0; i < size_ && walk.next(); ++i) use(walk.channel());
  }

  bool operator==(const ChannelList& other) const {
    return size_ == other.size_ && bytes_ == other.bytes_;
  }

 private:
  class Walk {
   public:
    explicit Walk(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
    bool next();
    bool at_end() const { return at_ == bytes_.size(); }
    const Channel& channel() const { return channel_; }

   private:
    bool varint(std::uint64_t& value);
    bool moved(std::int32_t& rank);

    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
    Channel channel_;
  };

  void varint(std::uint64_t value);

  std::vector<std::uint8_t> bytes_;
  std::uint32_t size_ = 0;
  Channel last_;
};

}  // namespace ckpt::wire
