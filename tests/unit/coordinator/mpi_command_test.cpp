// How the ranks get their variables, for the lines people write. What Open MPI
// 4.1.4 does with each was tried.
#include "coordinator/launch/mpi_command.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ckpt::coordinator {
namespace {

using Words = std::vector<std::string>;
const Variables kOurs = {{"LD_PRELOAD", "/lib/shim.so"}, {"CKPT_JOB_DIR", "/jobs/a"}};

std::string list_of(const LaunchLine& line) {
  return variable(line.environment, "OMPI_MCA_mca_base_env_list").value_or("(none)");
}

TEST(Inject, ThroughTheEnvironmentAndTheLineStays) {
  const Words command = {"/usr/bin/mpirun", "-n", "4", "./app"};
  const auto line = inject(command, {"PATH=/bin"}, kOurs);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->arguments, command);
  EXPECT_EQ(list_of(*line), "LD_PRELOAD=/lib/shim.so;CKPT_JOB_DIR=/jobs/a");
}

TEST(Inject, AScriptIsTreatedTheSame) {
  const auto line = inject({"./job.sh", "-x"}, {}, kOurs);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->arguments, (Words{"./job.sh", "-x"}));
  EXPECT_EQ(list_of(*line), "LD_PRELOAD=/lib/shim.so;CKPT_JOB_DIR=/jobs/a");
}

TEST(Inject, SrunGetsThemForItsTasksAlone) {
  const auto line = inject({"srun", "--mpi=pmix", "-n", "4", "./app", "--export=x"}, {}, kOurs);
  EXPECT_EQ(line->arguments,
            (Words{"srun", "--export=ALL,LD_PRELOAD=/lib/shim.so,CKPT_JOB_DIR=/jobs/a",
                   "--mpi=pmix", "-n", "4", "./app", "--export=x"}));
  EXPECT_EQ(list_of(*line), "(none)");
}

TEST(Inject, AnExportOfTheUsersStays) {
  const Words environment = {"LD_PRELOAD=/lib/theirs.so", "SLURM_EXPORT_ENV=NONE"};
  const auto given = inject({"srun", "-n", "4", "--export=A,B=1", "./app"}, environment, kOurs);
  EXPECT_EQ(given->arguments[3],
            "--export=A,B=1,LD_PRELOAD=/lib/shim.so:/lib/theirs.so,CKPT_JOB_DIR=/jobs/a");
  const auto none = inject({"srun", "./app"}, {"SLURM_EXPORT_ENV=NONE"}, kOurs);
  EXPECT_EQ(none->arguments[1], "--export=LD_PRELOAD=/lib/shim.so,CKPT_JOB_DIR=/jobs/a");
  EXPECT_FALSE(inject({"srun", "./app"}, {}, {{"LD_PRELOAD", "/a"}, {"X", "1,2"}}));
}

TEST(Inject, AUsersListIsKept) {
  const auto line = inject({"mpirun", "./app"}, {"OMPI_MCA_mca_base_env_list=A=1;B"}, kOurs);
  EXPECT_EQ(list_of(*line), "A=1;B;LD_PRELOAD=/lib/shim.so;CKPT_JOB_DIR=/jobs/a");
}

TEST(Inject, AListOnTheLineIsAddedTo) {
  const auto line = inject({"mpirun", "--mca", "mca_base_env_list", "A=1", "./app"},
                           {"OMPI_MCA_mca_base_env_list=B=2"}, kOurs);
  EXPECT_EQ(line->arguments[3], "A=1;LD_PRELOAD=/lib/shim.so;CKPT_JOB_DIR=/jobs/a");
}

TEST(Inject, BesideDashXOursAreDashXToo) {
  const auto line =
      inject({"mpirun", "-x", "A", "-n", "2", "./a", ":", "-n", "1", "./b"}, {}, kOurs);
  EXPECT_EQ(list_of(*line), "(none)");
  EXPECT_EQ(line->arguments,
            (Words{"mpirun", "-x", "LD_PRELOAD=/lib/shim.so", "-x", "CKPT_JOB_DIR=/jobs/a", "-x",
                   "A", "-n", "2", "./a", ":", "-x", "LD_PRELOAD=/lib/shim.so", "-x",
                   "CKPT_JOB_DIR=/jobs/a", "-n", "1", "./b"}));
}

TEST(ListBesideX, TheListBecomesOptions) {
  const LaunchLine line = list_beside_x_options(
      {{"mpirun", "-x", "A", "-n", "2", "./a"},
       {"B=of the environment", "OMPI_MCA_mca_base_env_list=LD_PRELOAD=/lib/shim.so;B"}});
  EXPECT_EQ(line.arguments, (Words{"mpirun", "-x", "LD_PRELOAD=/lib/shim.so", "-x",
                                   "B=of the environment", "-x", "A", "-n", "2", "./a"}));
  EXPECT_EQ(line.environment, Words{"B=of the environment"});
}

TEST(ListBesideX, ALineWithoutXStaysAsItIs) {
  const LaunchLine line{{"mpirun", "-n", "2", "./a"}, {"OMPI_MCA_mca_base_env_list=A=1"}};
  const LaunchLine same = list_beside_x_options(line);
  EXPECT_EQ(same.arguments, line.arguments);
  EXPECT_EQ(same.environment, line.environment);
}

TEST(Inject, AUsersPreloadStaysBehindTheShim) {
  const auto from_environment = inject({"mpirun", "./app"}, {"LD_PRELOAD=/u.so"}, kOurs);
  EXPECT_EQ(list_of(*from_environment), "LD_PRELOAD=/lib/shim.so:/u.so;CKPT_JOB_DIR=/jobs/a");
  EXPECT_EQ(variable(from_environment->environment, "LD_PRELOAD"), "/u.so") << "mpirun's own";
  const auto from_line = inject({"mpirun", "-x", "LD_PRELOAD=/v.so", "./app"}, {}, kOurs);
  EXPECT_EQ(from_line->arguments[2], "LD_PRELOAD=/lib/shim.so:/v.so");
  EXPECT_EQ(std::count(from_line->arguments.begin(), from_line->arguments.end(), "-x"), 2);
  const auto by_name = inject({"mpirun", "-x", "LD_PRELOAD", "./app"}, {"LD_PRELOAD=/w.so"}, kOurs);
  EXPECT_EQ(by_name->arguments[2], "LD_PRELOAD=/lib/shim.so:/w.so");
  const auto from_list =
      inject({"mpirun", "./app"}, {"OMPI_MCA_mca_base_env_list=LD_PRELOAD=/x.so"}, kOurs);
  EXPECT_EQ(list_of(*from_list), "LD_PRELOAD=/lib/shim.so:/x.so;CKPT_JOB_DIR=/jobs/a");
}

TEST(Inject, TheDelimiterInAValueIsRefused) {
  const auto line = inject({"mpirun", "./app"}, {}, {{"LD_PRELOAD", "/a;b/shim.so"}});
  ASSERT_FALSE(line);
  EXPECT_NE(line.error().message().find("/a;b/shim.so"), std::string::npos);
  EXPECT_TRUE(inject({"mpirun", "./app"}, {"OMPI_MCA_mca_base_env_list_delimiter=|"},
                     {{"LD_PRELOAD", "/a;b/shim.so"}}));
}

TEST(Inject, VariablesOfAnOuterJobDoNotReachTheRanks) {
  const auto line = inject({"mpirun", "./app"}, {"CKPT_RESTART_IMAGE=/old.h5"}, kOurs);
  EXPECT_FALSE(variable(line->environment, "CKPT_RESTART_IMAGE"));
}

TEST(RanksAskedFor, OverAllContexts) {
  EXPECT_EQ(ranks_asked_for({"-np", "4", "--oversubscribe"}), 4);
  EXPECT_EQ(ranks_asked_for({"-n", "4", "./a", ":", "-n", "2", "./b"}), 6);
  EXPECT_FALSE(ranks_asked_for({"--map-by", "node"}));
  EXPECT_FALSE(ranks_asked_for({"-n", "many"}));
  EXPECT_FALSE(ranks_asked_for({"-n", "4", ":", "./b"}));
  EXPECT_FALSE(ranks_asked_for({"-n"}));
}

TEST(IsMpirun, UnderAnyPath) {
  EXPECT_TRUE(is_mpirun("/opt/openmpi/bin/mpiexec"));
  EXPECT_FALSE(is_mpirun("./mpirun.sh"));
}

TEST(RestartEnvironment, TheSessionIsTheNewOne) {
  const auto merged = restart_environment(
      {"A=1", "SLURM_JOB_ID=1", "OMPI_MCA_btl=tcp", "OMPI_MCA_pml=ob1", "TERM=xterm", "PATH=/old"},
      {"SLURM_JOB_ID=2", "OMPI_MCA_btl=vader", "PATH=/new"});
  EXPECT_EQ(variable(merged, "A"), "1");
  EXPECT_EQ(variable(merged, "PATH"), "/old");
  EXPECT_EQ(variable(merged, "SLURM_JOB_ID"), "2");
  EXPECT_EQ(variable(merged, "OMPI_MCA_btl"), "vader");
  EXPECT_EQ(variable(merged, "OMPI_MCA_pml"), "ob1");
  EXPECT_FALSE(variable(merged, "TERM"));
}

}  // namespace
}  // namespace ckpt::coordinator
