// Reads coordinator.json without waiting for the storage it lies on.
//
// Purpose: the relay's thread answers ranks and heartbeats; storage that hangs must
//   not hold it up.
// Ownership: its thread keeps what it needs and may outlive this object.
// Threads: a thread for each reading; `done` runs in the io_context's, unless this
//   object is gone by then. One reading at a time.
// Errors: as read_coordinator_file(); that no thread can be had, is one too.
// Source: incarnation_watch.hpp does the same.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "format/wire/coordinator_file.hpp"

namespace ckpt::relay {

class CoordinatorFileReader {
 public:
  using Done = std::function<void(const Result<wire::CoordinatorAddress>&)>;

  CoordinatorFileReader(boost::asio::io_context& io, const std::string& path, Done done);
  ~CoordinatorFileReader();
  CoordinatorFileReader(const CoordinatorFileReader&) = delete;
  CoordinatorFileReader& operator=(const CoordinatorFileReader&) = delete;

  void read();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace ckpt::relay
