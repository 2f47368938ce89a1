// The generation a command works from: a named one, or the newest good one.
//
// Errors: printed; an exit code. Older ones are taken when the newest are damaged,
//   but never another one than the user named.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/commands/command.hpp"
#include "format/image/generation_reader.hpp"

namespace ckpt::coordinator {

struct ChosenGeneration {
  std::uint64_t number = 0;
  std::string path;
};

// `wanted`: 0 for the newest good one.
tl::expected<ChosenGeneration, int> choose_generation(Context& context,
                                                      const JobDirectory& directory,
                                                      std::uint64_t wanted,
                                                      image::VerifyDepth depth);

}  // namespace ckpt::coordinator
