// The codec gives back what it was given, and survives whatever it is fed.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "format/wire/messages.hpp"

namespace ckpt::wire {
namespace {

std::vector<Message> samples() {
  std::vector<Message> all;
#define CKPT_ENTRY_BEGIN(Name, meaning)
#define CKPT_ENTRY_END(Name)
#define CKPT_MESSAGE_BEGIN(Name, number, sender, receiver, meaning) all.emplace_back(Name{});
#define CKPT_MESSAGE_END(Name)
#define CKPT_FIELD(type, name, meaning)
#include "format/wire/messages.def"
  all.emplace_back(Clocks{7, {0, 1, 5}, {{1, 100, 3, 3}, {~0ull, 1, 2, 1}}});
  all.emplace_back(Sent{9, {-1, 2147483647}, {{0, 1, 12}, {1, 0, 1ull << 60}}});
  all.emplace_back(HoldUpAnswer{3, 8, {{4, 4, 1, 0, 12, "MPI_Recv"}}});
  Snapshot snapshot;
  snapshot.generation = 12;
  snapshot.partial_path = "/scratch/a b/gen-000012.h5.partial";
  snapshot.command = {"mpirun", "", std::string("nul\0inside", 10)};
  snapshot.taken_at_ns = -5;
  all.emplace_back(snapshot);
  return all;
}

TEST(Codec, EveryMessageComesBackEqual) {
  FrameReader reader;
  for (const Message& message : samples()) {
    const auto frame = encode(message);
    ASSERT_TRUE(frame) << frame.error().message();
    reader.append(*frame);
  }
  for (const Message& message : samples()) {
    auto next = reader.next();
    ASSERT_TRUE(next) << next.error().message();
    ASSERT_TRUE(*next) << message_name(message);
    EXPECT_TRUE(**next == message) << message_name(message);
  }
  const auto last = reader.next();
  ASSERT_TRUE(last);
  EXPECT_FALSE(*last);
}

TEST(Codec, ArrivesByteByByte) {
  for (const Message& message : samples()) {
    FrameReader reader;
    const auto frame = *encode(message);
    for (std::size_t i = 0; i + 1 < frame.size(); ++i) {
      reader.append({&frame[i], 1});
      auto next = reader.next();
      ASSERT_TRUE(next && !*next);
    }
    reader.append({&frame.back(), 1});
    auto next = reader.next();
    ASSERT_TRUE(next && *next);
    EXPECT_TRUE(**next == message);
  }
}

TEST(Codec, LittleEndianLayoutIsFixed) {
  const auto frame = *encode(Rebuilt{258, 1});
  const std::vector<std::uint8_t> expected = {14, 0, 0, 0, 6, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(frame, expected);
}

TEST(Codec, EveryTruncationIsAnError) {
  for (const Message& message : samples()) {
    const auto frame = *encode(message);
    for (std::size_t size = 0; size + 4 < frame.size(); ++size) {
      EXPECT_FALSE(decode({frame.data() + 4, size})) << message_name(message) << " " << size;
    }
  }
}

TEST(Codec, BytesLeftOverAreAnError) {
  auto frame = *encode(Message(Cut{1}));
  frame.push_back(0);
  const auto message = decode({frame.data() + 4, frame.size() - 4});
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().message(), "decode message Cut: bytes left over");
}

TEST(Codec, ALyingCountAllocatesNothing) {
  // Level with 2^32-1 ranks announced and none there.
  std::vector<std::uint8_t> body = {19, 0};
  body.resize(2 + 16, 0);
  body.insert(body.end(), 4, 0xff);
  EXPECT_FALSE(decode(body));
}

TEST(Codec, NothingIsNotAMessage) { EXPECT_FALSE(encode(Message())); }

TEST(FrameReader, RefusesLengthsOutOfRangeAndStaysBroken) {
  for (const std::uint32_t length : {0u, 1u, kMaxHelloFrame + 1, 0xffffffffu}) {
    FrameReader reader(kMaxHelloFrame);
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<std::uint8_t>(length >> (8 * i)));
    reader.append(bytes);
    EXPECT_FALSE(reader.next());
    reader.append(*encode(Message(Cut{1})));
    EXPECT_FALSE(reader.next());
  }
}

TEST(FrameReader, SurvivesNoise) {
  std::mt19937_64 random(20260101);
  const auto all = samples();
  for (int round = 0; round < 20000; ++round) {
    auto frame = *encode(all[random() % all.size()]);
    for (std::size_t flips = 1 + random() % 4; flips > 0; --flips) {
      frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
    }
    FrameReader reader(1u << 16);
    reader.append(frame);
    for (int i = 0; i < 3; ++i) {
      if (!reader.next()) break;
    }
  }
}

}  // namespace
}  // namespace ckpt::wire
