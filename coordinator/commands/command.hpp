// What the commands of `ckpt-coord` share: one file each, add_NAME() declares
// its options and what it runs.
//
// Purpose: the exit codes, the job argument, the words behind "--", printing.
// Ownership: Context lives in main(); commands keep references to it.
// Threads: one. Errors: a command prints "ckpt-coord: ..." on stderr and returns
//   the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/job_directory/job_directory.hpp"
#include "coordinator/launch/mpi_command.hpp"
#include "coordinator/terminal/words.hpp"
#include "format/posix/file_system.hpp"

namespace ckpt::coordinator {

enum class Exit : int {
#define CKPT_EXIT(name, number, meaning) name = number,
#include "coordinator/commands/exit_codes.def"
#undef CKPT_EXIT
};
// "Exit codes:\n  0  done as asked\n ..."
std::string exit_code_text();

struct Context {
  FileSystem& files = linux_file_system();
  std::vector<std::string> tail;  // what stood behind --
  bool has_tail = false;
  int status = 0;
};

// A subcommand that runs `body` and keeps its exit code.
CLI::App* add_command(CLI::App& app, Context& context, const std::string& name,
                      const std::string& description, std::function<int()> body);

// The job a command is about, by name or path, below --dir.
struct JobArgument {
  std::string job, base;
  void add_to(CLI::App& command, const std::string& what = "name or directory of the job");
  void add_base_to(CLI::App& command);
  Result<std::string> path() const;
  // Prints and returns an exit code when it cannot be opened.
  tl::expected<JobDirectory, int> open(Context& context) const;
};

int complain(Exit code, const std::string& text);
int complain(Exit code, const Error& error);

// "10m", "1h30m", "90", "500ms", "0": milliseconds.
Result<std::uint64_t> parse_duration(const std::string& text);
// For CLI11: text to milliseconds, and what is wrong with it.
CLI::Option* add_duration(CLI::App& command, const std::string& name, std::uint64_t& milliseconds,
                          const std::string& description);
// Becomes the command; returns the exit code when that fails.
int run_natively(const std::vector<std::string>& command);

void add_run(CLI::App& app, Context& context);
void add_serve(CLI::App& app, Context& context);
void add_checkpoint(CLI::App& app, Context& context);
void add_restart(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_list(CLI::App& app, Context& context);
void add_export(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_prune(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);

}  // namespace ckpt::coordinator
