// The options that `run` and `restart` share.
#pragma once

#include <optional>

#include "coordinator/commands/command.hpp"

namespace ckpt::coordinator {

// What the user gave; what was not given leaves `JobOptions` as it is.
struct JobOptionArguments {
  std::uint64_t every_ms = 0, timeout_ms = 0, keep = 0, mtbf_ms = 0, silence_ms = 0;
  std::uint64_t max_restarts = 0;
  bool every_auto = false;
  std::string on_unsupported, listen, spares;
  CLI::Option *every = nullptr, *timeout = nullptr, *mtbf = nullptr, *silence = nullptr,
              *restarts = nullptr;

  void add_to(CLI::App& command);
  void apply(JobOptions& options) const;
  // What was given, as words of a command line.
  std::vector<std::string> words() const;
};

}  // namespace ckpt::coordinator
