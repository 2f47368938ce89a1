// Runs the body of an Asio handler; what it throws (memory, in practice) is
// logged and goes no further.
#pragma once

#include <exception>

#include "format/log/event_log.hpp"

namespace ckpt::coordinator {

template <typename Body>
void guarded(EventLog& log, const char* what, Body&& body) {
  try {
    body();
  } catch (const std::exception& problem) {
    log.error("handler_failed", {{"handler", what}, {"cause", problem.what()}});
  }
}

}  // namespace ckpt::coordinator
