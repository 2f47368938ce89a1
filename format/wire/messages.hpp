// Messages between coordinator, agents and the command line, as C++ values.
//
// Purpose: one struct for each line of messages.def (THE table), a variant of
//   all of them, and their codec. What each means: PROTOCOL.md.
// Ownership: values. Threads: no shared state; a FrameReader belongs to one.
// Units: bytes and nanoseconds, as the field says. On the wire: little endian,
//   u32 length of what follows, u16 message number, fields in order; a string
//   or list is a u32 count and its elements; channels are packed (channel_list.hpp).
// Errors: decoding never reads outside its input and never allocates more than
//   the input's own size demands; a frame that is too long, of an unknown
//   number, cut short or with bytes left over is an Error: close the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "format/posix/result.hpp"
#include "format/wire/channel_list.hpp"

namespace ckpt::wire {

inline constexpr std::uint32_t kProtocolVersion = 2;
inline constexpr std::uint32_t kMaxFrame = 64u << 20;
// Lists of channels longer than this (packed) go in parts.
inline constexpr std::size_t kMaxPart = 16u << 20;
// Before a hello was accepted nobody may make the coordinator hold more.
inline constexpr std::uint32_t kMaxHelloFrame = 4096;

// How a CheckpointRequest ended (Outcome::verdict).
enum class Verdict : std::uint32_t {
  committed = 0,
  not_ready = 1,  // ranks are missing, rebuilding or in MPI_Finalize; no agent
  refused = 2,    // a rank or agent cannot be saved, by name
  aborted = 3,    // a rank or agent was lost, or an error
  timed_out = 4,  // a phase passed its deadline
};

enum class Side : std::uint8_t { agent, coordinator, control };

#define CKPT_ENTRY_BEGIN(Name, meaning) struct Name {
#define CKPT_ENTRY_END(Name)                    \
  bool operator==(const Name&) const = default; \
  }                                             \
  ;
#define CKPT_MESSAGE_BEGIN(Name, number, sender, receiver, meaning) \
  struct Name {                                                     \
    static constexpr std::uint16_t kNumber = number;                \
    static constexpr const char* kName = #Name;                     \
    static constexpr Side kSender = Side::sender;
#define CKPT_MESSAGE_END(Name) CKPT_ENTRY_END(Name)
#define CKPT_FIELD(type, name, meaning) type name{};
#include "format/wire/messages.def"
#undef CKPT_ENTRY_BEGIN
#undef CKPT_ENTRY_END
#undef CKPT_MESSAGE_BEGIN
#undef CKPT_MESSAGE_END
#undef CKPT_FIELD

// std::monostate stands for "no message"; it is never encoded or decoded.
#define CKPT_ENTRY_BEGIN(Name, meaning)
#define CKPT_ENTRY_END(Name)
#define CKPT_MESSAGE_BEGIN(Name, number, sender, receiver, meaning) , Name
#define CKPT_MESSAGE_END(Name)
#define CKPT_FIELD(type, name, meaning)
using Message = std::variant<std::monostate
#include "format/wire/messages.def"
                             >;
#undef CKPT_ENTRY_BEGIN
#undef CKPT_ENTRY_END
#undef CKPT_MESSAGE_BEGIN
#undef CKPT_MESSAGE_END
#undef CKPT_FIELD

// Name of the message held ("RanksJoined"), for logs.
std::string_view message_name(const Message& message);

// Who may send it; nullopt for std::monostate.
std::optional<Side> message_sender(const Message& message);

// A whole frame, length prefix included. A message longer than kMaxFrame is an Error.
Result<std::vector<std::uint8_t>> encode(const Message& message);

// `body` is a frame without its length prefix: u16 number and fields.
Result<Message> decode(std::span<const std::uint8_t> body);

// Cuts a byte stream into messages.
//   reader.append(bytes); while (auto next = reader.next(); next && *next) use(**next);
class FrameReader {
 public:
  explicit FrameReader(std::uint32_t max_frame = kMaxFrame) : max_frame_(max_frame) {}

  void set_max_frame(std::uint32_t bytes) { max_frame_ = bytes; }
  void append(std::span<const std::uint8_t> bytes);

  // The next whole message, nullopt when more bytes are needed, or an Error;
  // after an Error every call returns one.
  Result<std::optional<Message>> next();

 private:
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  // of the first byte not yet used
  std::uint32_t max_frame_;
  bool broken_ = false;
};

}  // namespace ckpt::wire
