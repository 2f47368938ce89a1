// The real ckpt-agent between a coordinator played by the test and ranks played
// by tracee_mini_shim: real ptrace, real generation files.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"
#include "format/image/generation_reader.hpp"
#include "format/tls/stream.hpp"
#include "format/wire/coordinator_file.hpp"
#include "format/wire/messages.hpp"
#include "format/wire/shim_channel.h"
#include "tests/unit/agent/child_program.hpp"

namespace ckpt {
namespace {

using test::ChildProgram;
constexpr int kPatienceMs = 20'000;

class Coordinator {
 public:
  Coordinator()
      : key_(tls::JobKey::make().value()),
        context_(tls::make_stream_context(tls::Role::coordinator, key_).value()),
        listener_(io_, {boost::asio::ip::address_v4::loopback(), 0}) {}
  void announce(const std::string& directory) const {
    const std::string path = directory + "/coordinator.json", fresh = path + ".new";
    std::ofstream(fresh) << wire::coordinator_file_text(
        {"127.0.0.1", listener_.local_endpoint().port(), 1, key_.text()});
    ::chmod(fresh.c_str(), 0600);
    std::filesystem::rename(fresh, path);
  }
  void accept() {
    pollfd ready{listener_.native_handle(), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, kPatienceMs), 1);
    agent_ = std::make_unique<tls::Stream>(listener_.accept(), context_);
    const timeval patience{kPatienceMs / 1000, 0};
    ASSERT_EQ(::setsockopt(agent_->lowest_layer().native_handle(), SOL_SOCKET, SO_RCVTIMEO,
                           &patience, sizeof patience),
              0);
    agent_->handshake(boost::asio::ssl::stream_base::server);
    reader_ = wire::FrameReader();
    EXPECT_EQ(receive<wire::AgentHello>().version, wire::kProtocolVersion);
    say(wire::AgentWelcome{wire::kProtocolVersion, 0, 1});
  }
  void hang_up() { agent_.reset(); }
  void say(const wire::Message& message) {
    boost::asio::write(*agent_, boost::asio::buffer(wire::encode(message).value()));
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
      std::uint8_t bytes[4096];
      boost::system::error_code error;
      const std::size_t got = agent_->read_some(boost::asio::buffer(bytes), error);
      if (error) break;
      reader_.append({bytes, got});
    }
    throw std::runtime_error(std::string("no ") + T::kName);  // ends the test
  }

 private:
  tls::JobKey key_;
  boost::asio::io_context io_;
  boost::asio::ssl::context context_;
  boost::asio::ip::tcp::acceptor listener_;
  std::unique_ptr<tls::Stream> agent_;
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
        std::vector<std::string>{CKPT_AGENT, "--job-dir", directory, "--socket", socket_path()});
    coordinator.accept();
  }
  bool logged(const std::string& text) const {
    std::ifstream log(directory + "/log");
    for (std::string line; std::getline(log, line);)
      if (line.find(text) != std::string::npos) return true;
    return false;
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
      EXPECT_EQ(coordinator.receive<wire::RanksJoined>().ranks.at(0).rank, rank);
    }
  }
  void cut(int count, std::uint64_t generation = 7) {
    coordinator.say(wire::Quiesce{generation});
    EXPECT_EQ(coordinator.receive<wire::Clocks>().ranks.at(0).count, static_cast<unsigned>(count));
    coordinator.say(wire::Targets{generation, 1, {}});
    EXPECT_EQ(coordinator.receive<wire::Level>().version, 1u);
    coordinator.say(wire::Cut{generation});
    EXPECT_EQ(coordinator.receive<wire::Sent>().more, 0);
    coordinator.say(wire::Drain{generation, 0, {}});
    EXPECT_EQ(coordinator.receive<wire::Drained>().logged_bytes,
              200u * static_cast<unsigned>(count));
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
  EXPECT_EQ(coordinator.receive<wire::Clocks>().ranks.at(0).count, 2u);
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
  cut(1, 8);
  auto order = snapshot_order(1);
  order.generation = 8;
  order.partial_path = directory + "/gen-000008.h5.partial";
  coordinator.say(order);
  coordinator.receive<wire::Snapped>();
  EXPECT_FALSE(std::filesystem::exists(partial()));
}

// The order may be as old as this agent was stopped.
TEST_F(AgentProcess, TakesNoCopyOfARankThatDoesNotWait) {
  start_ranks(2, "goes-on");
  cut(2);
  coordinator.say(snapshot_order(2));
  const auto refused = coordinator.receive<wire::Refused>();
  EXPECT_EQ(refused.rank, 1);
  EXPECT_NE(refused.text.find("does not wait for this agent"), std::string::npos) << refused.text;
  EXPECT_FALSE(std::filesystem::exists(partial()));
  for (const auto& rank : ranks) expect_untouched(*rank);
}

TEST_F(AgentProcess, SaysWhyItGivesNoWelcome) {
  ChildProgram old({CKPT_MINI_SHIM, socket_path(), "0", "1", "old-version"});
  EXPECT_EQ(old.wait(), 0);  // its channel was closed
  coordinator.say(wire::Shutdown{"enough"});
  EXPECT_EQ(agent->wait(), 0);
  EXPECT_TRUE(logged("event=connection_refused"));
  EXPECT_TRUE(logged("it speaks version " + std::to_string(CKPT_SHIM_CHANNEL_VERSION - 1)));
}

struct AgentOnHungStorage : AgentProcess {
  void SetUp() override {
    ::setenv("LD_PRELOAD", CKPT_STALLING_STORAGE, 1);
    ::setenv("STALL_BELOW", "/tmp/ckpt-agent-test-", 1);
    ::setenv("STALL_FLAG", flag().c_str(), 1);
    AgentProcess::SetUp();
    ::unsetenv("LD_PRELOAD");
  }
  void TearDown() override {
    for (const char* what : {".read", ".write"}) ::unlink((flag() + what).c_str());
    AgentProcess::TearDown();
  }
  static std::string flag() { return "/tmp/ckpt-stall-" + std::to_string(::getpid()); }
  static void hang(const std::string& what) { std::ofstream(flag() + what).put('x'); }
};

TEST_F(AgentOnHungStorage, RanksAreWelcomeAllTheSame) {
  hang(".read");
  coordinator.hang_up();
  ranks.push_back(std::make_unique<ChildProgram>(
      std::vector<std::string>{CKPT_MINI_SHIM, socket_path(), "0", "1"}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  const auto traced = [this] {  // WELCOME has come: the status page is there
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(agent->pid()) + "/fd")) {
      std::error_code ignored;
      if (std::filesystem::read_symlink(entry.path(), ignored).string().find("ckpt-status") !=
          std::string::npos)
        return true;
    }
    return false;
  };
  while (!traced() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(traced());
  ::unlink((flag() + ".read").c_str());
  coordinator.accept();
  EXPECT_EQ(coordinator.receive<wire::RanksJoined>().ranks.at(0).rank, 0);
}

TEST_F(AgentOnHungStorage, EndsWhenToldAndLeavesNoCopy) {
  start_ranks(1);
  cut(1);
  hang(".write");
  coordinator.say(snapshot_order(1));
  coordinator.receive<wire::Snapped>();
  coordinator.say(wire::Resume{7});
  coordinator.say(wire::Shutdown{"the job is over"});
  EXPECT_EQ(agent->wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(socket_path()));
  EXPECT_FALSE(std::filesystem::exists(directory + "/sockets"));
  ranks[0]->wait();  // nothing holds it
}

TEST_F(AgentProcess, ReportsAKilledRank) {
  start_ranks(2);
  ranks[1]->kill(SIGKILL);
  EXPECT_EQ(coordinator.receive<wire::RanksGone>().ranks.at(0).rank, 1);
}

TEST_F(AgentProcess, ComesBackToACoordinatorThatWasLost) {
  start_ranks(1);
  cut(1);
  coordinator.hang_up();
  coordinator.accept();
  EXPECT_EQ(coordinator.receive<wire::RanksJoined>().ranks.at(0).rank, 0);
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
