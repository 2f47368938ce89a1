// mpirun lines without failed nodes.
#include "coordinator/launch/host_plan.hpp"

#include <gtest/gtest.h>

namespace ckpt::coordinator {
namespace {

using Words = std::vector<std::string>;

HostPlan plan(HostRequest request, const std::string& file = "") {
  request.new_hostfile = "/job/hosts";
  return *avoid_hosts(request, [&](const std::string&) -> Result<std::string> { return file; });
}

TEST(HostPlan, ASpareTakesAFailedHostsPlace) {
  const auto made =
      plan({{"mpirun", "-H", "n1:2,n2:2", "-n", "4", "app"}, {}, {"n2"}, {"n9"}, "", 0});
  EXPECT_EQ(made.command, (Words{"mpirun", "-H", "n1:2,n9:2", "-n", "4", "app"}));
  EXPECT_EQ(made.text, "nodes: n9 for n2");
}

TEST(HostPlan, WithoutASpareTheRanksMoveTogether) {
  const auto made = plan({{"mpirun", "--host", "n1:2,n2:2", "app"}, {}, {"n2.cluster"}, {}, "", 0});
  EXPECT_EQ(made.command, (Words{"mpirun", "--oversubscribe", "--host", "n1:2", "app"}));
  EXPECT_EQ(made.text, "nodes: without n2");
}

TEST(HostPlan, ASpareThatFailedOrIsInUseIsNone) {
  const auto made = plan(
      {{"mpirun", "--host", "n1,n2,n3", "app"}, {}, {"n2", "n8"}, {"n8", "n3", "n9:4"}, "", 0});
  EXPECT_EQ(made.command, (Words{"mpirun", "--host", "n1,n9:4,n3", "app"}));
}

TEST(HostPlan, AHostfileIsWrittenAnew) {
  const auto made = plan({{"mpirun", "--hostfile", "f", "app"}, {}, {"n2"}, {"n9"}, "", 0},
                         "# ours\nn1 slots=2\nn2 slots=4 # old\n");
  EXPECT_EQ(made.command, (Words{"mpirun", "--hostfile", "/job/hosts", "app"}));
  EXPECT_EQ(made.hostfile, "# ours\nn1 slots=2\nn9 slots=4 # old\n");
}

TEST(HostPlan, AnAllocationIsNamedWithoutTheFailedNode) {
  const auto made = plan({{"mpirun", "-n", "4", "app"},
                          {"SLURM_JOB_NODELIST=n[1-3]", "SLURM_TASKS_PER_NODE=2(x2),1"},
                          {"n2"},
                          {},
                          "",
                          0});
  EXPECT_EQ(made.command,
            (Words{"mpirun", "--oversubscribe", "--host", "n1:2,n3:1", "-n", "4", "app"}));
}

TEST(HostPlan, FewerSlotsAreNotFewerRanks) {
  const HostRequest request{
      {"mpirun", "app", "-n", "100"}, {"SLURM_JOB_NODELIST=n[1-3]"}, {"n2"}, {}, "", 3};
  EXPECT_EQ(plan(request).command,
            (Words{"mpirun", "--oversubscribe", "-n", "3", "--host", "n1,n3", "app", "-n", "100"}));
}

TEST(HostPlan, NothingIsLeftThenAllAreTriedAgain) {
  const Words line = {"mpirun", "--host", "n1", "app"};
  const auto made = plan({line, {}, {"n1"}, {}, "", 0});
  EXPECT_EQ(made.command, line);
  EXPECT_NE(made.text, "");
}

TEST(HostPlan, ALineOfThisHostAloneStays) {
  const Words line = {"mpirun", "-n", "2", "app"};
  EXPECT_EQ(plan({line, {}, {"n1"}, {"n2"}, "", 0}).command, line);
}

TEST(HostPlan, NodeLists) {
  EXPECT_EQ(expand_node_list("n[1-3,07],gpu2,x[09-10]y"),
            (Words{"n1", "n2", "n3", "n07", "gpu2", "x09y", "x10y"}));
  EXPECT_EQ(expand_counts("4(x2),2"), (std::vector<int>{4, 4, 2}));
  EXPECT_TRUE(same_host("n1", "n1.cluster"));
  EXPECT_FALSE(same_host("n1.a", "n1.b"));
  EXPECT_FALSE(same_host("n1", "n10"));
}

}  // namespace
}  // namespace ckpt::coordinator
