// What Slurm's environment and scontrol say, as 22.05 says it.
#include "coordinator/batch_system/slurm_job.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace ckpt::coordinator {
namespace {

using Words = std::vector<std::string>;

TEST(SlurmJob, OutsideOfAJobThereIsNone) { EXPECT_FALSE(slurm_job_of({"PATH=/bin"})); }

TEST(SlurmJob, HasItsIdAsName) {
  const auto job = slurm_job_of({"SLURM_JOB_ID=42"});
  ASSERT_TRUE(job);
  EXPECT_EQ(job->name, "42");
  EXPECT_EQ(job->restarts, 0u);
}

TEST(SlurmJob, KnowsThatItWasRequeued) {
  EXPECT_EQ(slurm_job_of({"SLURM_JOB_ID=42", "SLURM_RESTART_COUNT=2"})->restarts, 2u);
}

TEST(SlurmJob, AnArrayTaskIsCalledAsSqueueCallsIt) {
  const auto job =
      slurm_job_of({"SLURM_JOB_ID=2", "SLURM_ARRAY_JOB_ID=1", "SLURM_ARRAY_TASK_ID=7"});
  EXPECT_EQ(job->name, "1_7");
  EXPECT_EQ(job->id, "2");
}

TEST(SlurmJob, AHeterogeneousJobIsThatOfItsFirstComponent) {
  EXPECT_EQ(slurm_job_of({"SLURM_JOB_ID=43", "SLURM_HET_JOB_ID=42"})->name, "42");
}

TEST(SbatchOptions, AskForWhatTheJobHad) {
  const Words saved = {"SLURM_JOB_ID=42",          "SLURM_JOB_NUM_NODES=3", "SLURM_NTASKS=6",
                       "SLURM_JOB_PARTITION=main", "HOME=/home/a",          "SLURM_JOB_NAME=a b",
                       "SBATCH_TIMELIMIT=00:10:00"};
  EXPECT_EQ(sbatch_options(saved, "/work"),
            (Words{"--job-name=a b", "--partition=main", "--nodes=3", "--ntasks=6",
                   "--time=00:10:00", "--chdir=/work", "--requeue", "--open-mode=append"}));
}

TEST(SlurmField, FindsWholeNamesOnly) {
  const char* text =
      "JobId=1 JobName=x.sh Requeue=1 Restarts=0 TimeLimit=00:10:00 TimeMin=N/A "
      "StartTime=2026-11-27T10:26:33 EndTime=2026-11-27T10:36:33 Deadline=N/A";
  EXPECT_EQ(slurm_field(text, "TimeLimit"), "00:10:00");
  EXPECT_EQ(slurm_field(text, "EndTime"), "2026-11-27T10:36:33");
  EXPECT_EQ(slurm_field(text, "Limit"), std::nullopt);
  EXPECT_EQ(slurm_field(text, "Deadline"), "N/A");
}

TEST(SlurmField, TellsWhetherAJobMayBeRequeuedAndIsPreempted) {
  EXPECT_TRUE(may_be_requeued("JobId=1 Requeue=1 Restarts=0 BatchFlag=1 Reboot=0"));
  EXPECT_FALSE(may_be_requeued("JobId=1 Requeue=1 Restarts=0 BatchFlag=0 Reboot=0"));
  EXPECT_FALSE(may_be_requeued("JobId=1 Requeue=0 Restarts=0 BatchFlag=1 Reboot=0"));
  const std::string start = "StartTime=2026-11-27T10:26:33 PreemptTime=";
  EXPECT_FALSE(is_preempted(start + "None"));
  EXPECT_TRUE(is_preempted(start + "2026-11-27T10:26:43"));
  EXPECT_FALSE(is_preempted(start + "2026-11-27T10:20:00")) << "of an earlier run";
}

TEST(SlurmTime, IsLocalTime) {
  std::tm local{};
  local.tm_year = 126, local.tm_mon = 10, local.tm_mday = 27, local.tm_hour = 10;
  local.tm_isdst = -1;
  EXPECT_EQ(slurm_time("2026-11-27T10:00:00"), std::mktime(&local));
  EXPECT_EQ(slurm_time("Unknown"), std::nullopt);
  EXPECT_EQ(slurm_time("N/A"), std::nullopt);
}

TEST(ShellWord, SurvivesTheShell) { EXPECT_EQ(shell_word("it's $a"), "'it'\\''s $a'"); }

}  // namespace
}  // namespace ckpt::coordinator
