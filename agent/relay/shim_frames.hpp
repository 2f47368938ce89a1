// The shims' frames as C++ values.
//
// Purpose: between the bytes of format/wire/shim_channel.h and the relay.
// Ownership: values. Threads: no shared state.
// Errors: a frame of the wrong direction or size is an Error: close the connection.
// Source: format/wire/shim_channel.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "format/posix/result.hpp"
#include "format/wire/shim_channel.h"

namespace ckpt::relay {

struct ClocksFrame {
  std::uint64_t generation = 0;
  std::vector<ckpt_clock> clocks;
};
struct LevelFrame {
  std::uint64_t generation = 0, version = 0;
};
struct RaiseFrame {
  std::uint64_t generation = 0;
  std::vector<ckpt_clock> clocks;
};
struct SentFrame {
  std::uint64_t generation = 0;
  std::vector<ckpt_marker> markers;
};
struct DrainedFrame {
  std::uint64_t generation = 0, logged_messages = 0, logged_bytes = 0;
};
struct ResumedFrame {
  std::uint64_t generation = 0;
};
struct RebuiltFrame {
  std::uint64_t generation = 0;
};
struct FinalizingFrame {};
struct CannotFrame {
  std::string text;
};

// HELLO is the connection's own affair (shim_listener).
using ShimFrame =
    std::variant<ckpt_hello, ClocksFrame, LevelFrame, RaiseFrame, SentFrame, DrainedFrame,
                 ResumedFrame, RebuiltFrame, FinalizingFrame, CannotFrame>;

Result<ShimFrame> parse_shim_frame(std::uint32_t type, const std::vector<std::uint8_t>& payload);

// What the agent tells a shim. `clocks` for TARGETS, `markers` for DRAIN.
struct ShimOrder {
  std::uint32_t type = 0;  // enum ckpt_frame_type
  std::uint64_t generation = 0;
  std::uint64_t version = 0;  // TARGETS
  std::vector<ckpt_clock> clocks;
  std::vector<ckpt_marker> markers;
};

std::vector<std::uint8_t> encode_order(const ShimOrder& order);
std::vector<std::uint8_t> encode_alive(std::uint32_t silence_ms);
std::vector<std::uint8_t> encode_welcome(std::int32_t agent_pid);

}  // namespace ckpt::relay
