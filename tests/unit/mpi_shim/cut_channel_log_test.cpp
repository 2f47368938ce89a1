#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdlib>
#include <vector>

#include "mpi_shim/channel_log.hpp"

namespace ckpt::shim {
namespace {

static_assert(kAnySource == MPI_ANY_SOURCE && kAnyTag == MPI_ANY_TAG);

class ChannelLogTest : public ::testing::Test {
 protected:
  ~ChannelLogTest() override {
    while (log_.first) discard(remove(log_.first));
  }

  LoggedMessage* add(int source, int tag) {
    auto* message = new LoggedMessage;
    message->source = source;
    message->tag = tag;
    message->bytes = static_cast<unsigned char*>(std::malloc(1));
    message->size = 1;
    append(log_, message);
    return message;
  }
  LoggedMessage* remove(LoggedMessage* message) {
    take(log_, message);
    return message;
  }
  std::vector<int> tags() const {
    std::vector<int> found;
    for (const LoggedMessage* at = log_.first; at; at = at->next) found.push_back(at->tag);
    return found;
  }

  ChannelLog log_;
};

TEST_F(ChannelLogTest, FindsNothingInAnEmptyLog) {
  EXPECT_EQ(find(log_, kAnySource, kAnyTag), nullptr);
}

TEST_F(ChannelLogTest, FindsTheFirstThatMatches) {
  add(1, 10);
  LoggedMessage* second = add(2, 10);
  LoggedMessage* third = add(2, 20);
  add(2, 10);
  EXPECT_EQ(find(log_, 2, 10), second);
  EXPECT_EQ(find(log_, 2, 20), third);
  EXPECT_EQ(find(log_, 2, kAnyTag), second);
  EXPECT_EQ(find(log_, kAnySource, 20), third);
  EXPECT_EQ(find(log_, kAnySource, kAnyTag), log_.first);
  EXPECT_EQ(find(log_, 3, kAnyTag), nullptr);
  EXPECT_EQ(find(log_, 2, 30), nullptr);
}

TEST_F(ChannelLogTest, NobodyMatchesProcNull) {
  add(0, 0);
  EXPECT_EQ(find(log_, MPI_PROC_NULL, 0), nullptr);
}

TEST_F(ChannelLogTest, TakingKeepsTheOrderOfTheRest) {
  LoggedMessage* first = add(0, 1);
  LoggedMessage* middle = add(0, 2);
  LoggedMessage* last = add(0, 3);
  discard(remove(middle));
  EXPECT_EQ(tags(), (std::vector<int>{1, 3}));
  discard(remove(last));
  add(0, 4);
  EXPECT_EQ(tags(), (std::vector<int>{1, 4}));
  discard(remove(first));
  add(0, 5);
  EXPECT_EQ(tags(), (std::vector<int>{4, 5}));
}

TEST_F(ChannelLogTest, MessagesOfOneSourceDoNotOvertakeEachOther) {
  for (int i = 0; i < 10; ++i) add(i % 2, 7)->size = static_cast<std::size_t>(i);
  for (std::size_t i = 1; i < 10; i += 2) {
    LoggedMessage* found = find(log_, 1, 7);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->size, i);
    discard(remove(found));
  }
  EXPECT_EQ(find(log_, 1, 7), nullptr);
}

}  // namespace
}  // namespace ckpt::shim
