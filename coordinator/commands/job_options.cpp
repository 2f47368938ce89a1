#include "coordinator/commands/job_options.hpp"

#include <algorithm>

namespace ckpt::coordinator {

void JobOptionArguments::add_to(CLI::App& command) {
  every = add_duration(command, "--every", every_ms, "take a checkpoint so often [only when asked]");
  command.add_option("--keep", keep, "generations to keep [2]")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
  timeout = add_duration(command, "--timeout", timeout_ms,
                         "bound on each state of a checkpoint; while pages are written, on the "
                         "time without progress [10m]");
  command
      .add_option("--on-unsupported", on_unsupported,
                  "where the shim cannot work: `stop` the job, or run it `native` [stop]")
      ->type_name("stop|native")
      ->check(CLI::IsMember({"stop", "native"}));
}

void JobOptionArguments::apply(JobOptions& options) const {
  // Less than a second is rounded up: 0 would turn it off.
  if (every->count() > 0) options.every_seconds = (every_ms + 999) / 1000;
  if (timeout->count() > 0) options.timeout_ms = std::max<std::uint64_t>(timeout_ms, 1);
  if (keep > 0) options.keep = keep;
  if (!on_unsupported.empty()) options.on_unsupported = on_unsupported;
}

}  // namespace ckpt::coordinator
