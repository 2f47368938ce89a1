// ckpt-coord: checkpoints and restarts unmodified Open MPI jobs.
#include <algorithm>
#include <cstdio>

#include "coordinator/commands/command.hpp"
#include "coordinator/launch/mpi_command.hpp"
#include "coordinator/launch/mpirun_stand_in.hpp"
#include "coordinator/version.hpp"

namespace {

using namespace ckpt::coordinator;

int run_program(int argc, char** argv) {
  if (is_mpirun(argv[0])) return stand_in_for_mpirun({argv, argv + argc});
  Context context;
  // What stands behind the first "--" is the user's; it is never parsed here.
  std::vector<std::string> words(argv + 1, argv + argc);
  const auto end = std::find(words.begin(), words.end(), "--");
  context.has_tail = end != words.end();
  if (context.has_tail) context.tail.assign(end + 1, words.end());
  words.erase(end, words.end());

  CLI::App app("Checkpoints and restarts unmodified Open MPI jobs.", "ckpt-coord");
  app.set_version_flag("--version", kVersion, "print the version");
  app.set_help_flag("-h,--help", "print this help");
  app.require_subcommand(1);
  app.footer(exit_code_text());
  add_run(app, context);
  add_checkpoint(app, context);
  add_restart(app, context);
  add_status(app, context);
  add_list(app, context);
  add_verify(app, context);
  add_export(app, context);
  add_prune(app, context);
  add_serve(app, context);
  add_version(app, context);
  try {
    std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
    app.parse(words);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem);
    // A wrong option is no reason for the job not to run.
    const auto has = [argc, argv](const char* word) {
      return std::find(argv + 1, argv + argc, std::string(word)) != argv + argc;
    };
    if (code != 0 && argc > 1 && std::string(argv[1]) == "run" && !context.tail.empty() &&
        has("--or-native")) {
      return run_natively(context.tail);
    }
    return code == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  return context.status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const std::exception& problem) {
    return complain(Exit::failed, problem.what());
  }
}
