// The real ckpt-agent between a coordinator played by the test and ranks played
// by tracee_mini_shim: real ptrace, real generation files.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "agent/proc/process_facts.hpp"
#include "agent/proc/proc_file.hpp"
#include "format/image/generation_reader.hpp"
#include "format/posix/unique_fd.hpp"
#include "format/wire/messages.hpp"
#include "tests/unit/agent/child_program.hpp"

namespace ckpt {
namespace {

using test::ChildProgram;
constexpr int kPatienceMs = 20'000;

class Coordinator {
 public:
  Coordinator() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_.get(), 4);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  void announce(const std::string& directory) const {
    const std::string path = directory + "/coordinator.json", fresh = path + ".new";
    std::ofstream(fresh) << R"({"host":"127.0.0.1","port":)" << port_
                         << R"(,"pid":1,"secret":"s3cret"})";
    ::chmod(fresh.c_str(), 0600);
    std::filesystem::rename(fresh, path);
  }
  void accept() {
    pollfd ready{listener_.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, kPatienceMs), 1);
    agent_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    reader_ = wire::FrameReader();
    const auto hello = receive<wire::AgentHello>();
    EXPECT_EQ(hello.secret, "s3cret");
    say(wire::AgentWelcome{wire::kProtocolVersion, 0, 1});
  }
  void hang_up() { agent_.reset(); }
  void say(const wire::Message& message) {
    const auto bytes = wire::encode(message).value();
    ASSERT_EQ(::write(agent_.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  // The next message of this kind; others (FlushProgress ...) are passed over.
  template <typename T>
  T receive() {
    for (;;) {
      auto next = reader_.next();
      if (!next) break;
      if (*next) {
        if (auto* found = std::get_if<T>(&**next)) return std::move(*found);
        continue;
      }
      pollfd ready{agent_.get(), POLLIN, 0};
      std::uint8_t bytes[4096];
      if (::poll(&ready, 1, kPatienceMs) != 1) break;
      const ssize_t got = ::read(agent_.get(), bytes, sizeof bytes);
      if (got <= 0) break;
      reader_.append({bytes, static_cast<std::size_t>(got)});
    }
    throw std::runtime_error(std::string("no ") + T::kName);  // ends the test
  }

 private:
  UniqueFd listener_, agent_;
  std::uint16_t port_ = 0;
  wire::FrameReader reader_;
};

struct AgentProcess : testing::Test {
  std::string directory;
  Coordinator coordinator;
  std::vector<std::unique_ptr<ChildProgram>> ranks;
  std::unique_ptr<ChildProgram> agent;

  void SetUp() override {
    char name[] = "/tmp/ckpt-agent-test-XXXXXX";
    directory = ::mkdtemp(name);
    coordinator.announce(directory);
    agent = std::make_unique<ChildProgram>(
        std::vector<std::string>{CKPT_AGENT, "--job-dir", directory, "--socket", socket_path(),
                                 "--parent-pid", std::to_string(::getpid())});
    coordinator.accept();
  }
  void TearDown() override {
    ranks.clear();
    agent.reset();
    std::filesystem::remove_all(directory);
  }
  std::string socket_path() const { return directory + "/sockets/agent"; }
  std::string partial() const { return directory + "/gen-000007.h5.partial"; }

  void start_ranks(int count, const std::string& last_option = "") {
    for (int rank = 0; rank < count; ++rank) {
      std::vector<std::string> words{CKPT_MINI_SHIM, socket_path(), std::to_string(rank),
                                     std::to_string(count)};
      if (rank == count - 1 && !last_option.empty()) words.push_back(last_option);
      ranks.push_back(std::make_unique<ChildProgram>(words));
      EXPECT_EQ(coordinator.receive<wire::RankJoined>().rank, rank);
    }
  }
  void cut(int count) {
    coordinator.say(wire::Quiesce{7});
    EXPECT_EQ(coordinator.receive<wire::Clocks>().ranks.size(), static_cast<std::size_t>(count));
    coordinator.say(wire::Targets{7, 1, {}});
    for (int i = 0; i < count; ++i) EXPECT_EQ(coordinator.receive<wire::Level>().version, 1u);
    coordinator.say(wire::Cut{7});
    EXPECT_EQ(coordinator.receive<wire::Sent>().ranks.size(), static_cast<std::size_t>(count));
    coordinator.say(wire::Drain{7, {}});
    for (int i = 0; i < count; ++i)
      EXPECT_EQ(coordinator.receive<wire::Drained>().logged_bytes, 200u);
  }
  wire::Snapshot snapshot_order(int count) const {
    wire::Snapshot order;
    order.generation = 7;
    order.partial_path = partial();
    order.job = "test";
    order.command = {"program"};
    order.cwd = "/";
    order.world_size = count;
    order.taken_at_ns = 1;
    order.program_version = "0";
    return order;
  }
  // A stopped or traced rank would be a rank harmed.
  void expect_untouched(const ChildProgram& rank) const {
    const auto text = proc::read_whole(proc::path_of(rank.pid(), "status"));
    ASSERT_TRUE(text);
    EXPECT_EQ(proc::parse_status(*text)->tracer, 0);
    const auto children = proc::read_whole(
        proc::path_of(rank.pid(), "task/" + std::to_string(rank.pid()) + "/children"));
    ASSERT_TRUE(children);
    EXPECT_EQ(*children, "");
  }
};

TEST_F(AgentProcess, TakesAGenerationOfTwoRanks) {
  start_ranks(2);
  cut(2);
  coordinator.say(snapshot_order(2));
  const auto snapped = coordinator.receive<wire::Snapped>();
  EXPECT_GT(snapped.frozen_ns, 0u);
  EXPECT_GT(snapped.payload_bytes, 2u * 100 * 4096);
  coordinator.say(wire::Resume{7});
  const auto flushed = coordinator.receive<wire::Flushed>();
  EXPECT_EQ(flushed.path, partial());
  EXPECT_EQ(flushed.bytes, std::filesystem::file_size(partial()));
  for (const auto& rank : ranks) expect_untouched(*rank);

  auto reader = image::GenerationReader::open(partial());
  ASSERT_TRUE(reader) << reader.error().message();
  ASSERT_TRUE(reader->verify(image::VerifyDepth::payload));
  for (int number = 0; number < 2; ++number) {
    auto rank = reader->rank(number);
    ASSERT_TRUE(rank) << rank.error().message();
    EXPECT_EQ(rank->process.pid, ranks[static_cast<std::size_t>(number)]->pid());
    EXPECT_EQ(rank->logged_messages, 2u);
    for (const image::Descriptor& descriptor : rank->process.descriptors)
      EXPECT_LE(descriptor.fd, 2) << descriptor.path;  // the channel is not the program's
  }
  coordinator.say(wire::Committed{7, "elsewhere"});
  // The next one starts from the beginning.
  coordinator.say(wire::Quiesce{8});
  EXPECT_EQ(coordinator.receive<wire::Clocks>().generation, 8u);
}

TEST_F(AgentProcess, RefusesByNameBeforeAnythingIsWritten) {
  start_ranks(2, "pipe");
  cut(2);
  coordinator.say(snapshot_order(2));
  const auto refused = coordinator.receive<wire::Refused>();
  EXPECT_EQ(refused.rank, 1);
  EXPECT_EQ(refused.text, "rank 1: fd 4 is a pipe, fd 5 is a pipe");
  EXPECT_FALSE(std::filesystem::exists(partial()));
  coordinator.say(wire::Aborted{7, "refused"});
  coordinator.say(wire::Quiesce{8});
  EXPECT_EQ(coordinator.receive<wire::Clocks>().ranks.size(), 2u);
  for (const auto& rank : ranks) expect_untouched(*rank);
}

TEST_F(AgentProcess, AnAbortAfterTheFlushRemovesThePartialFile) {
  start_ranks(1);
  cut(1);
  coordinator.say(snapshot_order(1));
  coordinator.receive<wire::Snapped>();
  coordinator.say(wire::Resume{7});
  coordinator.receive<wire::Flushed>();
  EXPECT_TRUE(std::filesystem::exists(partial()));
  coordinator.say(wire::Aborted{7, "another node failed"});
  // The worker takes orders one by one: after the next snapshot the first is gone.
  coordinator.say(wire::Quiesce{8});
  coordinator.receive<wire::Clocks>();
  auto order = snapshot_order(1);
  order.generation = 8;
  order.partial_path = directory + "/gen-000008.h5.partial";
  coordinator.say(order);
  coordinator.receive<wire::Snapped>();
  EXPECT_FALSE(std::filesystem::exists(partial()));
}

TEST_F(AgentProcess, ReportsAKilledRank) {
  start_ranks(2);
  ranks[1]->kill(SIGKILL);
  EXPECT_EQ(coordinator.receive<wire::RankGone>().rank, 1);
}

TEST_F(AgentProcess, ComesBackToACoordinatorThatWasLost) {
  start_ranks(1);
  cut(1);
  coordinator.hang_up();
  coordinator.accept();
  EXPECT_EQ(coordinator.receive<wire::RankJoined>().rank, 0);
  coordinator.say(wire::Quiesce{8});
  EXPECT_EQ(coordinator.receive<wire::Clocks>().generation, 8u);
}

TEST_F(AgentProcess, AKilledAgentLeavesItsRanksRunning) {
  start_ranks(1);
  cut(1);
  coordinator.say(snapshot_order(1));
  coordinator.receive<wire::Snapped>();  // a copy exists
  agent->kill(SIGKILL);
  agent->wait();
  // The rank hears the end of its channel, so it runs; it ends by itself then.
  EXPECT_EQ(ranks[0]->wait(), 0);
}

TEST_F(AgentProcess, EndsWhenTold) {
  start_ranks(1);
  coordinator.say(wire::Shutdown{"the job is over"});
  EXPECT_EQ(agent->wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(socket_path()));
}

TEST_F(AgentProcess, AFileThatCannotBeMadeIsARefusal) {
  start_ranks(1);
  cut(1);
  auto order = snapshot_order(1);
  order.partial_path = directory + "/missing/gen-000007.h5.partial";
  coordinator.say(order);
  coordinator.receive<wire::Snapped>();
  coordinator.say(wire::Resume{7});
  const auto refused = coordinator.receive<wire::Refused>();
  EXPECT_NE(refused.text.find("No such file or directory"), std::string::npos) << refused.text;
  expect_untouched(*ranks[0]);
}

}  // namespace
}  // namespace ckpt
