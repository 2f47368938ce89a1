#include "agent/relay/shim_frames.hpp"

#include <cstring>

namespace ckpt::relay {
namespace {

template <typename T>
bool take_whole(const std::vector<std::uint8_t>& payload, T& value) {
  if (payload.size() != sizeof value) return false;
  std::memcpy(&value, payload.data(), sizeof value);
  return true;
}

template <typename T>
bool take_list(const std::vector<std::uint8_t>& payload, ckpt_list& head, std::vector<T>& entries) {
  if (payload.size() < sizeof head) return false;
  std::memcpy(&head, payload.data(), sizeof head);
  const std::size_t rest = payload.size() - sizeof head;
  if (rest % sizeof(T) != 0 || head.count != rest / sizeof(T)) return false;
  entries.resize(head.count);
  if (rest > 0) std::memcpy(entries.data(), payload.data() + sizeof head, rest);
  return true;
}

template <typename T>
void append(std::vector<std::uint8_t>& bytes, const T& value) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof value);
}

template <typename T>
void append_list(std::vector<std::uint8_t>& bytes, const ShimOrder& order, std::uint64_t argument,
                 const std::vector<T>& entries) {
  append(bytes, ckpt_list{order.generation, argument, entries.size()});
  for (const T& entry : entries) append(bytes, entry);
}

std::vector<std::uint8_t> framed(std::uint32_t type, const std::vector<std::uint8_t>& payload) {
  std::vector<std::uint8_t> bytes;
  append(bytes, ckpt_frame{CKPT_FRAME_MAGIC, type, payload.size()});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

}  // namespace

Result<ShimFrame> parse_shim_frame(std::uint32_t type, const std::vector<std::uint8_t>& payload) {
  ckpt_list list{};
  ckpt_generation generation{};
  bool good = false;
  ShimFrame frame;
  switch (type) {
    case CKPT_FRAME_HELLO: {
      ckpt_hello hello{};
      good = take_whole(payload, hello);
      frame = hello;
      break;
    }
    case CKPT_FRAME_CLOCKS: {
      ClocksFrame clocks;
      good = take_list(payload, list, clocks.clocks);
      clocks.generation = list.generation;
      frame = std::move(clocks);
      break;
    }
    case CKPT_FRAME_LEVEL: {
      ckpt_level level{};
      good = take_whole(payload, level);
      frame = LevelFrame{level.generation, level.version};
      break;
    }
    case CKPT_FRAME_RAISE: {
      RaiseFrame raise;
      good = take_list(payload, list, raise.clocks);
      raise.generation = list.generation;
      frame = std::move(raise);
      break;
    }
    case CKPT_FRAME_SENT: {
      SentFrame sent;
      good = take_list(payload, list, sent.markers);
      sent.generation = list.generation;
      frame = std::move(sent);
      break;
    }
    case CKPT_FRAME_DRAINED: {
      ckpt_drained drained{};
      good = take_whole(payload, drained);
      frame = DrainedFrame{drained.generation, drained.logged_messages, drained.logged_bytes};
      break;
    }
    case CKPT_FRAME_RESUMED:
      good = take_whole(payload, generation);
      frame = ResumedFrame{generation.generation};
      break;
    case CKPT_FRAME_REBUILT:
      good = take_whole(payload, generation);
      frame = RebuiltFrame{generation.generation};
      break;
    case CKPT_FRAME_FINALIZING:
      good = payload.empty();
      frame = FinalizingFrame{};
      break;
    case CKPT_FRAME_CANNOT: {
      ckpt_text text{};
      good = take_whole(payload, text);
      frame = CannotFrame{std::string(text.text, ::strnlen(text.text, sizeof text.text))};
      break;
    }
    default: break;
  }
  if (!good)
    return fail(
        "read frame", "type " + std::to_string(type),
        "not a shim's, or of the wrong size (" + std::to_string(payload.size()) + " bytes)");
  return frame;
}

std::vector<std::uint8_t> encode_order(const ShimOrder& order) {
  std::vector<std::uint8_t> payload;
  if (order.type == CKPT_FRAME_TARGETS)
    append_list(payload, order, order.version, order.clocks);
  else if (order.type == CKPT_FRAME_DRAIN)
    append_list(payload, order, order.generation, order.markers);
  else
    append(payload, ckpt_generation{order.generation});
  return framed(order.type, payload);
}

std::vector<std::uint8_t> encode_alive(std::uint32_t silence_ms) {
  std::vector<std::uint8_t> payload;
  append(payload, ckpt_alive{silence_ms});
  return framed(CKPT_FRAME_ALIVE, payload);
}

std::vector<std::uint8_t> encode_welcome(std::int32_t agent_pid) {
  std::vector<std::uint8_t> payload;
  append(payload, ckpt_welcome{CKPT_SHIM_CHANNEL_VERSION, agent_pid});
  return framed(CKPT_FRAME_WELCOME, payload);
}

}  // namespace ckpt::relay
