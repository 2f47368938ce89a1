// ckpt-agent: one per node and job. See agent/relay/agent.hpp.
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>

#include "agent/relay/agent.hpp"

namespace {

int start(int argc, char** argv) {
  CLI::App app{"ckpt-agent: stops a node's ranks, takes their snapshots, writes them"};
  ckpt::relay::AgentOptions options;
  app.add_option("--job-dir", options.job_directory, "the job's directory")->required();
  app.add_option("--socket", options.socket_path, "Unix socket to listen on for the ranks")
      ->required();
  app.add_option("--parent-pid", options.parent_pid, "end when this process is gone");
  app.add_option("--ready-fd", options.ready_fd, "descriptor to write \"ready\" to");
  app.add_flag("--skip-descriptors", options.skip_descriptors,
               "leave out descriptors that cannot be saved, instead of refusing");
  CLI11_PARSE(app, argc, argv);

  auto log = ckpt::EventLog::open({.path = options.job_directory + "/log", .to_stderr = false});
  if (!log) {
    std::cerr << "ckpt-agent: " << log.error().message() << '\n';
    return 1;
  }
  ckpt::relay::Agent agent(options, *log);
  if (auto done = agent.run(); !done) {
    log->error("agent_failed", {{"cause", done.error()}});
    std::cerr << "ckpt-agent: " << done.error().message() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return start(argc, argv);
  } catch (const std::exception& problem) {
    std::cerr << "ckpt-agent: " << problem.what() << '\n';
    return 1;
  }
}
