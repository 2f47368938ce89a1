// Has a newer start of the job taken over? Looked for as long as the agent lives.
//
// Purpose: an agent whose network was cut may come back when the job runs
//   elsewhere; its ranks are then a second copy (format/incarnation).
// Ownership: its thread keeps what it needs and may outlive this object: on
//   storage that hangs it cannot be waited for.
// Threads: a thread of its own reads; `superseded` runs in the io_context's, once.
// Units: seconds. Errors: a file that cannot be read says nothing.
// Source: ARCHITECTURE.md "Fencing".
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "format/incarnation/incarnation.hpp"

namespace ckpt::relay {

class IncarnationWatch {
 public:
  IncarnationWatch(boost::asio::io_context& io, const std::string& job_directory,
                   const Incarnation& mine, std::function<void()> superseded);
  ~IncarnationWatch();
  IncarnationWatch(const IncarnationWatch&) = delete;
  IncarnationWatch& operator=(const IncarnationWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace ckpt::relay
