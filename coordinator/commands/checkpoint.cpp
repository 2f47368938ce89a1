// ckpt-coord checkpoint: one generation, now.
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.hpp"
#include "coordinator/control_client/control_client.hpp"
#include "coordinator/terminal/progress_line.hpp"

namespace ckpt::coordinator {
namespace {

struct CheckpointOptions {
  JobArgument job;
  std::uint64_t wait_ms = 10'000;
  bool as_json = false, quiet = false;
};

// Progress of a generation: a line a state, redrawn with bytes and rate on a terminal.
class CheckpointProgress {
 public:
  explicit CheckpointProgress(bool quiet) : line_(quiet) {}

  void show(const wire::Progress& progress) {
    const auto now = std::chrono::steady_clock::now();
    const std::string generation = "generation " + std::to_string(progress.generation) + ": ";
    if (progress.phase != phase_) {
      phase_ = progress.phase;
      since_ = now;
      line_.milestone(generation + progress.phase + ": " + progress.text);
    }
    const double seconds = std::chrono::duration<double>(now - since_).count();
    line_.redraw(generation + progress.phase + "  " +
                 (progress.bytes_total > 0
                      ? bytes_and_rate(progress.bytes_done, progress.bytes_total, seconds)
                      : progress.text));
  }
  void clear() { line_.clear(); }

 private:
  ProgressLine line_;
  std::string phase_;
  std::chrono::steady_clock::time_point since_{};
};

Exit exit_of(wire::Verdict verdict) {
  switch (verdict) {
    case wire::Verdict::committed: return Exit::ok;
    case wire::Verdict::not_ready: return Exit::not_ready;
    case wire::Verdict::refused: return Exit::refused;
    case wire::Verdict::aborted: return Exit::aborted;
    case wire::Verdict::timed_out: return Exit::timed_out;
  }
  return Exit::failed;
}

int report(const wire::Outcome& outcome, bool as_json) {
  const Exit code = exit_of(static_cast<wire::Verdict>(outcome.verdict));
  if (as_json) {
    const nlohmann::json value = {{"committed", code == Exit::ok},
                                  {"generation", outcome.generation},
                                  {"reason", outcome.reason},
                                  {"path", outcome.path},
                                  {"bytes", outcome.bytes},
                                  {"downtime_s", static_cast<double>(outcome.downtime_ns) / 1e9},
                                  {"frozen_s", static_cast<double>(outcome.frozen_ns) / 1e9},
                                  {"duration_s", static_cast<double>(outcome.duration_ns) / 1e9}};
    using nlohmann::json;
    std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return static_cast<int>(code);
  }
  if (code == Exit::ok) {
    std::printf("generation %llu committed: %s, downtime %s, in %s\n",
                static_cast<unsigned long long>(outcome.generation),
                in_words(outcome.bytes).c_str(),
                seconds_in_words(static_cast<double>(outcome.downtime_ns) / 1e9).c_str(),
                seconds_in_words(static_cast<double>(outcome.duration_ns) / 1e9).c_str());
    return 0;
  }
  return complain(code, "no checkpoint: " + outcome.reason);
}

int checkpoint(Context& context, const CheckpointOptions& options) {
  const auto directory = options.job.open(context);
  if (!directory) return directory.error();
  auto client = ControlClient::connect(*directory);
  if (!client) return complain(Exit::not_running, client.error());
  Status sent = client->send(wire::CheckpointRequest{options.wait_ms * 1'000'000});
  if (!sent) return complain(Exit::not_running, sent.error());
  CheckpointProgress progress(options.quiet || options.as_json);
  for (;;) {
    // The coordinator bounds each state; it answers, or the connection ends.
    auto message = client->receive(-1);
    if (!message) {
      progress.clear();
      return complain(Exit::aborted, message.error());
    }
    if (const auto* it = std::get_if<wire::Progress>(&*message)) progress.show(*it);
    if (const auto* it = std::get_if<wire::Outcome>(&*message)) {
      progress.clear();
      return report(*it, options.as_json);
    }
  }
}

}  // namespace

void add_checkpoint(CLI::App& app, Context& context) {
  auto options = std::make_shared<CheckpointOptions>();
  CLI::App* command =
      add_command(app, context, "checkpoint", "take a checkpoint now; returns when it is committed",
                  [&context, options] { return checkpoint(context, *options); });
  options->job.add_to(*command);
  add_duration(*command, "--wait", options->wait_ms,
               "wait so long for ranks that are not there yet [10s]");
  command->add_flag("--quiet", options->quiet, "no progress");
  command->add_flag("--json", options->as_json, "print JSON");
}

}  // namespace ckpt::coordinator
