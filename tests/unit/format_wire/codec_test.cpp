// The codec gives back what it was given, and survives whatever it is fed.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "format/wire/messages.hpp"
#include "format/wire/rank_runs.hpp"

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
  all.emplace_back(Clocks{7, {{0, 3, 1}, {5, 1, 1}}, {{1, 100, 3, 3}, {~0ull, 1, 2, 1}}});
  all.emplace_back(Sent{
      9, 1, {{0, 1, 12}, {1, 0, ~0ull}, {2147483647, -2147483647 - 1, 1}, {-1, 2147483647, 0}}});
  all.emplace_back(HoldUpAnswer{3, 8, 2, 1, {{4, 4, 1, 0, 12, "MPI_Recv"}}});
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
  const auto frame = *encode(Level{258, 1});
  const std::vector<std::uint8_t> expected = {18, 0, 0, 0, 19, 0, 2, 1, 0, 0, 0,
                                              0,  0, 0, 1, 0,  0, 0, 0, 0, 0, 0};
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
  // Clocks with 2^32-1 runs announced and none there.
  std::vector<std::uint8_t> body = {17, 0};
  body.resize(2 + 8, 0);
  body.insert(body.end(), 4, 0xff);
  EXPECT_FALSE(decode(body));
}

TEST(ChannelList, TakesFewBytesAndGivesThemBackInOrder) {
  ChannelList list;
  std::vector<Channel> given;
  for (std::int32_t destination = 500'000; destination < 500'128; ++destination) {
    for (std::int32_t near = 1; near <= 4; ++near) {
      given.push_back({destination - 129 + near, destination, 1000u + static_cast<unsigned>(near)});
      list.add(given.back());
    }
  }
  EXPECT_LE(list.packed().size(), 5 * given.size());
  std::vector<Channel> found;
  list.for_each([&](const Channel& channel) { found.push_back(channel); });
  EXPECT_EQ(found, given);
  const auto again = ChannelList::unpack(list.size(), list.packed());
  ASSERT_TRUE(again);
  EXPECT_TRUE(*again == list);
}

TEST(ChannelList, RefusesWhatCannotBeWalked) {
  const ChannelList one{{3, 5, 300}};
  EXPECT_FALSE(ChannelList::unpack(2, one.packed())) << "announces more than there is";
  EXPECT_FALSE(ChannelList::unpack(0, one.packed())) << "bytes left over";
  EXPECT_FALSE(ChannelList::unpack(1, one.packed().first(2)));
  const std::vector<std::uint8_t> endless(40, 0xff);
  EXPECT_FALSE(ChannelList::unpack(1, endless));
  // From 2^31 - 1 one step further.
  const std::vector<std::uint8_t> beyond = {0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 1, 2, 0, 1};
  EXPECT_TRUE(ChannelList::unpack(1, std::span(beyond).first(7)));
  EXPECT_FALSE(ChannelList::unpack(2, beyond));
}

TEST(RankRuns, AreFewForTheUsualPlacements) {
  std::vector<std::int32_t> block, robin;
  for (std::int32_t i = 0; i < 128; ++i) {
    block.push_back(1280 + i);
    robin.push_back(3 + 4096 * i);
  }
  EXPECT_EQ(to_runs(block), (std::vector<RankRun>{{1280, 128, 1}}));
  EXPECT_EQ(to_runs(robin), (std::vector<RankRun>{{3, 128, 4096}}));
  EXPECT_TRUE(to_runs({}).empty());
}

TEST(RankRuns, ComeBackAsTheyWere) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::int32_t> ranks;
    for (std::int32_t rank = 0; rank < 60; ++rank) {
      if (random() % 3 != 0) ranks.push_back(rank);
    }
    EXPECT_EQ(expand(to_runs(ranks), 60), ranks);
  }
}

TEST(RankRuns, ThatMakeNoSenseAreRefusedBeforeTheyCostMemory) {
  EXPECT_FALSE(expand({{0, ~0u, 1}}, 64));
  EXPECT_FALSE(expand({{0, ~0u, ~0u}}, 64));
  EXPECT_FALSE(expand({{0, 0, 1}}, 64));
  EXPECT_FALSE(expand({{0, 2, 0}}, 64));
  EXPECT_FALSE(expand({{-1, 2, 1}}, 64));
  EXPECT_FALSE(expand({{64, 1, 1}}, 64));
  EXPECT_FALSE(expand({{4, 4, 1}, {7, 1, 1}}, 64)) << "a rank twice";
  EXPECT_TRUE(expand({{60, 4, 1}}, 64));
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
