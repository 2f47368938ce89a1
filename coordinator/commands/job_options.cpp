#include "coordinator/commands/job_options.hpp"

#include <algorithm>

#include "coordinator/launch/mpi_command.hpp"

namespace ckpt::coordinator {

void JobOptionArguments::add_to(CLI::App& command) {
  every = command
              .add_option_function<std::string>(
                  "--every",
                  [this](const std::string& text) {
                    every_auto = text == "auto";
                    every_ms = every_auto ? 0 : parse_duration(text).value_or(0);
                  },
                  "take a checkpoint so often, or `auto`: from what one costs and how often the "
                  "job fails [only when asked]")
              ->type_name("TIME|auto")
              ->check([](const std::string& text) {
                const auto parsed = parse_duration(text);
                return parsed || text == "auto" ? std::string() : parsed.error().message();
              });
  mtbf = add_duration(command, "--mtbf", mtbf_ms,
                      "for --every auto: the job fails so often [as observed]");
  command.add_option("--keep", keep, "generations to keep [2]")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
  timeout = add_duration(command, "--timeout", timeout_ms,
                         "bound on each state of a checkpoint; while pages are written, on the "
                         "time without progress [10m]");
  silence = add_duration(command, "--silence", silence_ms,
                         "an agent that was not heard for so long is lost [20s]");
  restarts =
      command.add_option("--max-restarts", max_restarts, "restart a job that failed so often [0]")
          ->type_name("N");
  command
      .add_option("--spare-hosts", spares, "HOST[:SLOTS],...: take the places of nodes that failed")
      ->type_name("HOSTS");
  command
      .add_option("--on-unsupported", on_unsupported,
                  "where the shim cannot work: `stop` the job, or run it `native` [stop]")
      ->type_name("stop|native")
      ->check(CLI::IsMember({"stop", "native"}));
  command
      .add_option("--listen", listen,
                  "for which nodes the coordinator listens: `local`, `all`, or `auto`: all when "
                  "ranks are on others [auto]")
      ->type_name("auto|local|all")
      ->check(CLI::IsMember({"auto", "local", "all"}));
  // The defaults of a site may stand before the user's own.
  for (CLI::Option* each : command.get_options()) {
    for (const char* name : {"every", "mtbf", "keep", "timeout", "silence", "max-restarts",
                             "spare-hosts", "on-unsupported", "listen"}) {
      if (each->check_lname(name)) each->take_last();
    }
  }
}

void JobOptionArguments::apply(JobOptions& options) const {
  // Less than a second is rounded up: 0 would turn it off.
  if (every->count() > 0) {
    options.every_seconds = (every_ms + 999) / 1000;
    options.every_auto = every_auto;
  }
  if (mtbf->count() > 0) options.mtbf_seconds = (mtbf_ms + 999) / 1000;
  // Below that, a busy machine's pauses would count as deaths.
  constexpr std::uint64_t kLeastSilence = 1000, kMostSilence = 86'400'000;
  if (silence->count() > 0) {
    options.silence_ms = std::clamp(silence_ms, kLeastSilence, kMostSilence);
  }
  if (restarts->count() > 0) options.max_restarts = max_restarts;
  if (!spares.empty()) options.spare_hosts = split(spares, ',');
  if (timeout->count() > 0) options.timeout_ms = std::max<std::uint64_t>(timeout_ms, 1);
  if (keep > 0) options.keep = keep;
  if (!on_unsupported.empty()) options.on_unsupported = on_unsupported;
  if (!listen.empty()) options.listen = listen;
}

std::vector<std::string> JobOptionArguments::words() const {
  std::vector<std::string> all;
  const auto add = [&all](const char* name, const std::string& value) {
    all.insert(all.end(), {name, value});
  };
  const auto add_time = [&add](const CLI::Option* option, const char* name, std::uint64_t ms) {
    if (option->count() > 0) add(name, std::to_string(ms) + "ms");
  };
  if (every_auto)
    add("--every", "auto");
  else
    add_time(every, "--every", every_ms);
  add_time(mtbf, "--mtbf", mtbf_ms);
  add_time(timeout, "--timeout", timeout_ms);
  add_time(silence, "--silence", silence_ms);
  if (restarts->count() > 0) add("--max-restarts", std::to_string(max_restarts));
  if (!spares.empty()) add("--spare-hosts", spares);
  if (keep > 0) add("--keep", std::to_string(keep));
  if (!on_unsupported.empty()) add("--on-unsupported", on_unsupported);
  if (!listen.empty()) add("--listen", listen);
  return all;
}

}  // namespace ckpt::coordinator
