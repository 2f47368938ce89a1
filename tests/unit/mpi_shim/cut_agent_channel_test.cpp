#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "mpi_shim/agent_channel.hpp"

namespace ckpt::shim {
namespace {

// An agent that has accepted the shim's connection.
class AgentChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/agent_channel_XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/agent.sock";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener_, 1), 0);
    ASSERT_TRUE(channel_.connect(path_, kLowest));
    agent_ = accept(listener_, nullptr, nullptr);
    ASSERT_GE(agent_, 0);
  }
  ~AgentChannelTest() override {
    close(agent_);
    close(listener_);
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }

  void answer(std::uint32_t type, const void* payload, std::size_t size,
              std::uint32_t magic = CKPT_FRAME_MAGIC) {
    const ckpt_frame head = {magic, type, size};
    ASSERT_EQ(write(agent_, &head, sizeof head), static_cast<ssize_t>(sizeof head));
    ASSERT_EQ(write(agent_, payload, size), static_cast<ssize_t>(size));
  }

  static constexpr int kLowest = 200;
  std::string folder_, path_;
  int listener_ = -1, agent_ = -1;
  AgentChannel channel_;
};

TEST_F(AgentChannelTest, ItsDescriptorLiesAboveTheProgramsAndIsNotInherited) {
  EXPECT_GE(channel_.descriptor(), kLowest);
  EXPECT_NE(fcntl(channel_.descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(AgentChannelTest, SendsAHeadAndItsEntries) {
  const std::vector<ckpt_marker> markers = {{3, 0, 70}, {5, 0, 1}};
  ASSERT_TRUE(channel_.send_list<ckpt_marker>(CKPT_FRAME_SENT, 12, markers));
  struct {
    ckpt_frame frame;
    ckpt_list list;
    ckpt_marker markers[2];
  } got;
  ASSERT_EQ(recv(agent_, &got, sizeof got, MSG_WAITALL), static_cast<ssize_t>(sizeof got));
  EXPECT_EQ(got.frame.magic, CKPT_FRAME_MAGIC);
  EXPECT_EQ(got.frame.type, static_cast<std::uint32_t>(CKPT_FRAME_SENT));
  EXPECT_EQ(got.frame.length, sizeof got.list + sizeof got.markers);
  EXPECT_EQ(got.list.generation, 12u);
  EXPECT_EQ(got.list.count, 2u);
  EXPECT_EQ(got.markers[1].peer, 5);
}

TEST_F(AgentChannelTest, ReceivesEntriesAndNoMoreThanAreThere) {
  struct {
    ckpt_list list = {4, 1, 1000};
    ckpt_clock clock = {9, 2, 2, 0};
  } payload;
  answer(CKPT_FRAME_TARGETS, &payload, sizeof payload);
  const Result<Frame> frame = channel_.receive();
  ASSERT_TRUE(frame);
  const auto clocks = frame->entries<ckpt_clock>();
  ASSERT_EQ(clocks.size(), 1u);
  EXPECT_EQ(clocks[0].gid, 9u);
}

TEST_F(AgentChannelTest, AShortPayloadReadsAsZeroes) {
  answer(CKPT_FRAME_QUIESCE, "", 0);
  const Result<Frame> frame = channel_.receive();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->head<ckpt_generation>().generation, 0u);
  EXPECT_TRUE(frame->entries<ckpt_clock>().empty());
}

TEST_F(AgentChannelTest, WhatIsNoFrameEndsTheChannel) {
  answer(CKPT_FRAME_QUIESCE, "", 0, 0x12345678);
  const Result<Frame> frame = channel_.receive();
  ASSERT_FALSE(frame);
  EXPECT_NE(frame.error().message().find(path_), std::string::npos);
  EXPECT_FALSE(channel_.connected());
}

TEST_F(AgentChannelTest, AnAgentThatWentIsAnError) {
  close(agent_);
  EXPECT_FALSE(channel_.receive());
  EXPECT_FALSE(channel_.connected());
  EXPECT_FALSE(channel_.send(CKPT_FRAME_FINALIZING, nullptr, 0));
}

TEST_F(AgentChannelTest, ItsDirectoryIsOurs) {
  AgentChannel other;
  ASSERT_EQ(chmod(folder_.c_str(), 0770), 0);
  EXPECT_EQ(other.connect(path_, kLowest).error().code, EPERM);
  ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
  const std::string link = folder_ + ".link";
  ASSERT_EQ(symlink(folder_.c_str(), link.c_str()), 0);
  EXPECT_EQ(other.connect(link + "/agent.sock", kLowest).error().code, EPERM);
  unlink(link.c_str());
  if (geteuid() == 0) {  // as if another user had made it
    ASSERT_EQ(chown(folder_.c_str(), 65533, 65533), 0);
    EXPECT_EQ(other.connect(path_, kLowest).error().code, EPERM);
    ASSERT_EQ(chown(folder_.c_str(), 0, 0), 0);
  }
  EXPECT_TRUE(other.connect(path_, kLowest));
}

TEST(AgentChannel, NobodyListening) {
  AgentChannel channel;
  const Status connected = channel.connect("/tmp/no-such-folder/agent.sock", 100);
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, ENOENT);
  EXPECT_FALSE(channel.connect(std::string(200, 'x'), 100));
}

}  // namespace
}  // namespace ckpt::shim
