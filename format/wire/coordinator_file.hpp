// coordinator.json: where a job's coordinator listens, and the key that admits.
//
// Purpose: its text and back, for the coordinator that writes it and for the
//   agents and commands that read it.
// Ownership: values. Threads: no state.
// Errors: what is no such object names the field. read_coordinator_file()
//   refuses (EPERM) a file that is not the user's own regular file, is a symbolic
//   link, or that others may read or write: its key would be worth nothing.
// Source: ARCHITECTURE.md "Processes".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::wire {

struct CoordinatorAddress {
  std::string host;  // the first of `addresses`
  std::uint16_t port = 0;
  std::int32_t pid = 0;
  std::string key;                          // of tls::JobKey, as text
  std::string node = {};                    // where it runs, as that calls itself
  std::vector<std::string> addresses = {};  // empty: `host` alone
};

// In which order `this_host` tries them: loopback first on the coordinator's own
// node, last elsewhere (names may be equal, and networks shared, so never left out).
std::vector<std::string> places_to_try(const CoordinatorAddress& address,
                                       const std::string& this_host);
// Whether the coordinator listens for its own node alone.
bool is_local_only(const CoordinatorAddress& address);

std::string coordinator_file_text(const CoordinatorAddress& address);
Result<CoordinatorAddress> parse_coordinator_file(const std::string& text);
// ENOENT: no coordinator runs, or it ended in good order.
Result<CoordinatorAddress> read_coordinator_file(const std::string& path);

}  // namespace ckpt::wire
