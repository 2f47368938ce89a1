// The drain: takes every message sent before the cut out of the network.
//
// Purpose: completes pending receives and nonblocking collectives, receives
//   all other messages into the channel logs, until this rank has received what
//   its peers sent it; then a barrier, so that no rank stops driving the lower
//   half while a peer still needs that.
// Ownership: one for a checkpoint. What it logged stays when it is abandoned.
// Threads: the shim's thread alone, doors closed and nobody inside.
// Units: messages. Ranks: of MPI_COMM_WORLD.
// Errors: failure() names what makes this generation impossible.
// Source: ARCHITECTURE.md "Markers", "Channel log"; DESIGN.md section 4.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "format/wire/shim_channel.h"
#include "mpi_shim/channel_log.hpp"

namespace ckpt::shim {

// A barrier of nonblocking empty messages on the shim's own communicator; each
// attempt has its own tags, so an abandoned one disturbs no other.
class DrainBarrier {
 public:
  void start(int rank, int size, std::uint64_t generation);
  bool step();  // true: all ranks have started it
  void abandon();

 private:
  void begin_round();

  int rank_ = 0, size_ = 1, distance_ = 1, tag_ = 0;
  bool started_ = false;
  MPI_Request receive_ = nullptr, send_ = nullptr;  // lower, nullptr: none
};

class Drain {
 public:
  Drain(int rank, int size, std::uint64_t generation);

  // What every peer sent to this rank.
  void expect(std::span<const ckpt_marker> markers);

  // One round; may be called before expect(). True: something moved.
  bool step();
  bool done() const { return done_; }
  std::uint64_t missing() const;  // messages still to come
  const std::string& failure() const { return failure_; }

  void abandon();

 private:
  void log_unmatched(Communicator& comm);
  void log_held();
  LoggedMessage* room_for(Communicator& comm, int source, int tag, std::size_t size);
  void receive(LoggedMessage* message, MPI_Message lower);
  bool pending_collectives() const;

  int rank_, size_;
  std::uint64_t generation_;
  std::vector<std::uint64_t> expected_;
  bool expecting_ = false;
  bool in_barrier_ = false;
  bool done_ = false;
  bool moved_ = false;
  DrainBarrier barrier_;
  std::string failure_;
};

}  // namespace ckpt::shim
