// Does an mpirun line, or the batch system, speak of other nodes?
#include "coordinator/launch/node_span.hpp"

#include <gtest/gtest.h>

namespace ckpt::coordinator {
namespace {

bool spans(const std::vector<std::string>& command,
           const std::vector<std::string>& environment = {}) {
  return spans_nodes(command, environment, "n1.example.org");
}

TEST(SpansNodes, ALineWithoutHostsStaysHere) {
  EXPECT_FALSE(spans({"mpirun", "-n", "4", "./app"}));
  EXPECT_FALSE(spans({"./script.sh"}));
  EXPECT_FALSE(spans({}));
}

TEST(SpansNodes, HostsAreComparedByTheirShortNames) {
  for (const char* here :
       {"n1", "n1:4", "n1.example.org:2", "localhost", "127.0.0.1", "me@n1", "n1,n1"})
    EXPECT_FALSE(spans({"mpirun", "--host", here, "./app"})) << here;
  for (const char* option : {"--host", "-host", "-H"}) {
    EXPECT_TRUE(spans({"mpirun", option, "n1:2,n2:2", "./app"})) << option;
    EXPECT_TRUE(spans({"mpirun", option, "n11", "./app"})) << option;
  }
  EXPECT_FALSE(spans({"mpirun", "--host"}));
}

TEST(SpansNodes, AFileOfHostsIsOfSeveral) {
  for (const char* option : {"--hostfile", "-hostfile", "--machinefile", "-machinefile",
                             "--default-hostfile", "--rankfile"})
    EXPECT_TRUE(spans({"mpirun", option, "hosts", "./app"})) << option;
}

TEST(SpansNodes, TheBatchSystemTells) {
  EXPECT_TRUE(spans({"mpirun", "./app"}, {"SLURM_JOB_NUM_NODES=3"}));
  EXPECT_FALSE(spans({"mpirun", "./app"}, {"SLURM_JOB_NUM_NODES=1"}));
  EXPECT_TRUE(spans({"mpirun", "./app"}, {"PBS_NUM_NODES=2"}));
  EXPECT_TRUE(spans({"mpirun", "./app"}, {"OMPI_MCA_orte_default_hostfile=/hosts"}));
}

}  // namespace
}  // namespace ckpt::coordinator
