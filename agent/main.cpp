// ckpt-agent: one per node and job. See agent/relay/agent.hpp.
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>

#include "agent/relay/agent.hpp"
#include "agent/relay/own_process.hpp"
#include "format/incarnation/incarnation.hpp"

namespace {

int start(int argc, char** argv) {
  CLI::App app{"ckpt-agent: stops a node's ranks, takes their snapshots, writes them"};
  ckpt::relay::AgentOptions options;
  app.add_option("--job-dir", options.job_directory, "the job's directory")->required();
  app.add_option("--socket", options.socket_path, "Unix socket to listen on for the ranks")
      ->required();
  app.add_option("--lock-fd", options.lock_fd, "descriptor of the node's lock, when inherited");
  int rank_pid = 0;
  app.add_option("--started-by", rank_pid, "the rank that starts it");
  app.add_option("--incarnation", options.incarnation, "of the job, as its ranks were started")
      ->envname(ckpt::kIncarnationVariable);
  app.add_flag("--skip-descriptors", options.skip_descriptors,
               "leave out descriptors that cannot be saved, instead of refusing");
  CLI11_PARSE(app, argc, argv);
  ckpt::relay::leave_the_rank(rank_pid);
  ckpt::relay::sweep_node_directories("/tmp");

  auto log = ckpt::EventLog::open(
      {.path = options.job_directory + "/log", .to_stderr = false, .background = true});
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
