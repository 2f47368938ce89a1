// Under which addresses other nodes may reach this one.
//
// Purpose: what coordinator.json names when the coordinator listens for other
//   nodes. Nobody can tell which of a node's networks the others share, so all
//   are named and tried in turn: global addresses first, IPv4 before IPv6,
//   loopback last (for agents of this very node).
// Ownership: values. Threads: no state. Errors: from getifaddrs.
// Source: getifaddrs(3), RFC 4291 2.5.6 (link-local ones need a zone: left out).
#pragma once

#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::coordinator {

Result<std::vector<std::string>> own_addresses();

}  // namespace ckpt::coordinator
