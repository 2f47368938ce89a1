// A real coordinator and the agents of a big job, over loopback.
//
//   many_agents_test CKPT_COORD [--agents N] [--ranks R] [--strangers S]
//
// All of it is real but the ranks and their memory: TLS, the protocol, the relay
// of each agent, the nodes' files. It asserts counts and outcomes, and prints what
// they took; no bound is there to be met by a slow machine.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "tests/scale/agent_crowd.hpp"
#include "tests/scale/served_job.hpp"

namespace ckpt::scale {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

struct Size {
  std::string program;
  std::size_t agents = 200, strangers = 100;
  std::int32_t ranks = 16;
  std::size_t world() const { return agents * static_cast<std::size_t>(ranks); }
};
Size size;

constexpr seconds kBound{300};

class ManyAgents : public ::testing::Test {
 protected:
  ManyAgents() : job_(size.program) {}

  void SetUp() override {
    const Status started = job_.start();
    ASSERT_TRUE(started) << started.error().message();
    crowd_ = std::make_unique<AgentCrowd>(job_.directory(), size.agents, size.ranks);
    std::printf("%zu agents, %zu ranks\n", size.agents, size.world());
  }

  // All agents are connected, and the coordinator has all ranks.
  void join(const char* what, Clock::time_point since) {
    const std::size_t agents = size.agents;
    ASSERT_TRUE(crowd_->await([agents](const Counts& counts) { return counts.connected == agents; },
                              kBound))
        << crowd_->counts().connected << " of " << agents << " agents are connected";
    const Status present = job_.await_line("present", kBound);
    ASSERT_TRUE(present) << present.error().message();
    tell(what, Clock::now() - since);
  }

  void tell(const std::string& what, Clock::duration took) {
    const Usage usage = job_.usage();
    std::printf("%-34s %8.2f s   coordinator: %7.2f s of CPU, peak %llu KiB\n", what.c_str(),
                std::chrono::duration<double>(took).count(), usage.cpu_s,
                static_cast<unsigned long long>(usage.peak_kib));
    std::fflush(stdout);
  }

  Result<std::string> checkpoint() { return job_.command({"checkpoint", "--quiet"}); }

  void commit(std::uint64_t generation) {
    const auto begun = Clock::now();
    const auto said = checkpoint();
    ASSERT_TRUE(said) << said.error().message();
    const std::string number = std::to_string(generation);
    EXPECT_EQ(said->rfind("generation " + number + " committed", 0), 0u) << *said;
    EXPECT_TRUE(crowd_->await_idle(kBound));
    tell("generation " + number, Clock::now() - begun);
    for (const auto& [state, took] : job_.states_of(generation)) {
      std::printf("  %s %.2f", state.c_str(), took);
    }
    std::printf("\n  %s\n", said->c_str());
    EXPECT_EQ(crowd_->counts().faults, 0u);
  }

  // Some agents stop to answer, and die when all of them have.
  void break_off(Hold when, const std::vector<std::size_t>& victims) {
    const auto before = job_.files();
    crowd_->hold(victims, when);
    auto outcome = std::async(std::launch::async, [this] { return checkpoint(); });
    EXPECT_TRUE(crowd_->await(
        [count = victims.size()](const Counts& counts) {
          return counts.held == count && counts.writing == 0;
        },
        kBound));
    const auto begun = Clock::now();
    crowd_->kill(victims);
    const auto said = outcome.get();
    ASSERT_FALSE(said) << *said;
    EXPECT_TRUE(names_one(said.error().cause, victims)) << said.error().message();
    EXPECT_TRUE(crowd_->await_idle(kBound));
    tell(when == Hold::at_cut ? "aborted in cut" : "aborted in flush", Clock::now() - begun);
    const Counts counts = crowd_->counts();
    EXPECT_EQ(counts.connected, size.agents - victims.size()) << "the others go on";
    EXPECT_EQ(counts.lost, 0u);
    EXPECT_EQ(job_.files(), before) << "nothing of it stays";
  }

  bool names_one(const std::string& reason, const std::vector<std::size_t>& victims) {
    for (const std::size_t victim : victims) {
      const std::string expected = "agent on " + crowd_->name_of(victim) + " is gone";
      if (reason.find(expected) != std::string::npos) return true;
    }
    return false;
  }

  void come_back() {
    const auto since = Clock::now();
    crowd_->start();
    join("the killed ones are back", since);
  }

  void check_commands(std::uint64_t newest, std::size_t commits, std::size_t generations) {
    auto begun = Clock::now();
    auto status = job_.json_of("status");
    tell("status", Clock::now() - begun);
    EXPECT_EQ(status.value("ready", false), true) << status.dump().substr(0, 500);
    EXPECT_EQ(status["agents"].size(), size.agents);
    EXPECT_EQ(status.value("ranks_present", std::size_t{0}), size.world());
    EXPECT_EQ(status.value("commits", std::size_t{0}), commits);
    EXPECT_EQ(status["last"].value("generation", std::uint64_t{0}), newest);
    begun = Clock::now();
    const auto list = job_.json_of("list");
    tell("list", Clock::now() - begun);
    ASSERT_EQ(list.size(), generations) << list.dump();
    for (const auto& each : list) {
      EXPECT_EQ(each.value("state", ""), "good") << each.dump();
      EXPECT_EQ(each.value("world_size", std::size_t{0}), size.world());
    }
    EXPECT_EQ(list.back().value("generation", std::uint64_t{0}), newest);
    EXPECT_EQ(job_.files().size(), generations * (size.agents + 1));
    begun = Clock::now();
    const auto verified = job_.command({"verify"});
    tell("verify", Clock::now() - begun);
    EXPECT_TRUE(verified) << verified.error().message();
  }

  // Older ones go after the answer.
  bool pruned() {
    const auto end = Clock::now() + kBound;
    while (job_.files().size() != 2 * (size.agents + 1)) {
      if (Clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // no event to wait for
    }
    return true;
  }

  ServedJob job_;
  std::unique_ptr<AgentCrowd> crowd_;
};

TEST_F(ManyAgents, JoinCheckpointDieAndComeBack) {
  const std::vector<std::size_t> some = {1, size.agents / 2, size.agents - 1};
  crowd_->send_strangers(size.strangers);
  auto since = Clock::now();
  crowd_->start();
  ASSERT_NO_FATAL_FAILURE(join("all have joined", since));
  ASSERT_NO_FATAL_FAILURE(commit(1));
  ASSERT_NO_FATAL_FAILURE(check_commands(1, 1, 1));

  ASSERT_NO_FATAL_FAILURE(break_off(Hold::at_cut, some));
  ASSERT_NO_FATAL_FAILURE(come_back());
  ASSERT_NO_FATAL_FAILURE(break_off(Hold::at_write, some));
  ASSERT_NO_FATAL_FAILURE(come_back());
  ASSERT_NO_FATAL_FAILURE(commit(4));
  ASSERT_NO_FATAL_FAILURE(check_commands(4, 2, 2));
  EXPECT_EQ(job_.logged("agent_suspected"), 0u) << "nobody was kept waiting for a heartbeat";

  job_.crash();
  const std::size_t agents = size.agents;
  EXPECT_TRUE(
      crowd_->await([agents](const Counts& counts) { return counts.lost == agents; }, kBound));
  since = Clock::now();
  ASSERT_TRUE(job_.start());
  ASSERT_NO_FATAL_FAILURE(join("all are with a new coordinator", since));
  ASSERT_NO_FATAL_FAILURE(commit(5));
  EXPECT_TRUE(pruned()) << job_.files().size() << " files";

  const auto ended = job_.end(kBound);
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(*ended, 0);
  EXPECT_TRUE(crowd_->await([agents](const Counts& counts) { return counts.told_to_end == agents; },
                            kBound));
}

// An option's value, or what it was.
template <typename Number>
void take_option(char** argv, const char* name, Number& number) {
  for (char** each = argv; *each != nullptr && each[1] != nullptr; ++each) {
    if (std::strcmp(*each, name) == 0) number = static_cast<Number>(std::atoll(each[1]));
  }
}

}  // namespace
}  // namespace ckpt::scale

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc < 2) return 2;
  auto& size = ckpt::scale::size;
  size.program = argv[1];
  ckpt::scale::take_option(argv, "--agents", size.agents);
  ckpt::scale::take_option(argv, "--ranks", size.ranks);
  ckpt::scale::take_option(argv, "--strangers", size.strangers);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const std::size_t needed = size.agents + size.strangers + 64;
  if (files.rlim_max < needed) {
    std::printf("SKIPPED: %zu descriptors are needed, the limit is %llu\n", needed,
                static_cast<unsigned long long>(files.rlim_max));
    return 77;
  }
  return RUN_ALL_TESTS();
}
