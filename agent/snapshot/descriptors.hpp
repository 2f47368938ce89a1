// The program's open files.
//
// Purpose: lists a stopped rank's descriptors as the image keeps them. Left out:
//   the lower half's (numbers from descriptor_base up) and the shim's own. What
//   cannot be saved is refused by name, all of it in one error:
//   "fd 7 is a TCP socket to 10.0.0.1:80".
// Ownership: values. Threads: any; the rank must be stopped.
// Errors: code ENOTSUP for a refusal; else the failed call.
// Source: proc(5), kcmp(2), sock_diag through /proc/pid/net.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::snapshot {

struct DescriptorRules {
  int base = 0;         // numbers from here up are the lower half's
  int channel_fd = -1;  // the shim's socket to the agent
  std::set<std::pair<std::uint64_t, std::uint64_t>> own_files;  // device, inode: of the agent
  bool skip_unsupported = false;  // record as `ignored` instead of refusing
};

Result<std::vector<image::Descriptor>> capture_descriptors(int pid, const DescriptorRules& rules);

// "TCP socket to 10.0.0.1:80", "pipe", "eventfd": for messages.
std::string describe_target(int pid, const std::string& link);

}  // namespace ckpt::snapshot
