// job.json: the command and the environment that a restart starts.
#include "coordinator/job_directory/job_directory.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  const auto job = coordinator::parse_job(fuzz::Input(data, size).rest_as_text());
  if (!job) return 0;
  const auto again = coordinator::parse_job(coordinator::job_text(*job));
  fuzz::require(again && again->command == job->command && again->environment == job->environment &&
                again->options == job->options && again->world_size == job->world_size);
  return 0;
}
