// The options that `run` and `restart` share.
#pragma once

#include <optional>

#include "coordinator/commands/command.hpp"

namespace ckpt::coordinator {

// What the user gave; what was not given leaves `JobOptions` as it is.
struct JobOptionArguments {
  std::uint64_t every_ms = 0, timeout_ms = 0, keep = 0;
  std::string on_unsupported;
  CLI::Option *every = nullptr, *timeout = nullptr;

  void add_to(CLI::App& command);
  void apply(JobOptions& options) const;
};

}  // namespace ckpt::coordinator
