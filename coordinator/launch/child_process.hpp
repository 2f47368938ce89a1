// Starting one program and knowing how it ended.
//
// Ownership: the caller waits for the pid. Threads: call from a process with
//   one thread (fork).
// Errors: a program that cannot be executed is an Error with errno, not an exit
//   status.
// Source: fork(2), execvpe(3), prctl(2) PR_SET_PDEATHSIG, wait(2).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::coordinator {

struct Spawn {
  std::vector<std::string> arguments;  // [0] is looked up in PATH
  std::vector<std::string> environment;
  std::string cwd;           // empty: as it is
  bool own_session = false;  // a daemon: no terminal
  bool own_group = false;    // a process group of its own
  int terminal = -1;         // its group becomes the foreground one of it
  int death_signal = 0;      // when this process dies
  std::string output;        // stdout and stderr are appended there; stdin is null
  std::vector<int> inherit;  // descriptors that stay open under their numbers
  sigset_t mask{};           // of blocked signals, for the program
};

Result<pid_t> spawn(const Spawn& what);

// Runs a program of this environment to its end and gives what it wrote to
// stdout; `input` is its stdin. An exit status other than 0, or no end within
// `patience` (it is killed then), is an Error with the end of its stderr.
Result<std::string> output_of(const std::vector<std::string>& arguments,
                              std::chrono::milliseconds patience, const std::string& input = {});

// "exited with 3", "killed by signal 9 (Killed)"
std::string describe_exit(int wait_status);
// As a shell reports it: the code, or 128 + signal.
int shell_status(int wait_status);

}  // namespace ckpt::coordinator
