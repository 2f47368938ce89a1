// This rank's end of the channel to its node's agent.
//
// Purpose: connects, sends and receives frames of format/wire/shim_channel.h.
// Ownership: owns its descriptor, which lies where the program's do not.
// Threads: the shim's thread alone.
// Security: connects only to a socket of this user's, in a directory that is his
//   alone, and sends nothing before.
// Errors: Result with operation, subject and cause; after one the channel is
//   closed, and connect() may be tried again.
// Source: unix(7); shim_channel.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "format/posix/result.hpp"
#include "format/wire/shim_channel.h"

namespace ckpt::shim {

struct Frame {
  std::uint32_t type = 0;
  std::vector<unsigned char> payload;
  int descriptor = -1;  // passed with it; the receiver owns it

  // The fixed struct at the payload's start; zeroes when it is too short.
  template <typename T>
  T head() const {
    T value = {};
    if (payload.size() >= sizeof value) __builtin_memcpy(&value, payload.data(), sizeof value);
    return value;
  }
  // The entries behind a ckpt_list; as many as are really there.
  template <typename T>
  std::vector<T> entries() const {
    const auto list = head<ckpt_list>();
    const std::size_t room =
        payload.size() > sizeof list ? (payload.size() - sizeof list) / sizeof(T) : 0;
    std::vector<T> values(list.count < room ? list.count : room);
    if (!values.empty())
      __builtin_memcpy(values.data(), payload.data() + sizeof list, values.size() * sizeof(T));
    return values;
  }
};

class AgentChannel {
 public:
  ~AgentChannel() { disconnect(); }

  // `lowest`: the descriptor's number is at least this.
  Status connect(const std::string& path, int lowest);
  void disconnect();
  // Another lower half has taken this descriptor's number, or none: forget it.
  void forget() { descriptor_ = -1; }
  int descriptor() const { return descriptor_; }
  bool connected() const { return descriptor_ >= 0; }
  // Why a send or receive ended it.
  const Error& end_cause() const { return end_cause_; }

  Status send(std::uint32_t type, const void* payload, std::size_t size,
              const void* entries = nullptr, std::size_t entries_size = 0);
  template <typename T>
  Status send(std::uint32_t type, const T& payload) {
    return send(type, &payload, sizeof payload);
  }
  template <typename Entry>
  Status send_list(std::uint32_t type, std::uint64_t generation, std::span<const Entry> entries) {
    const ckpt_list head = {generation, generation, entries.size()};
    return send(type, &head, sizeof head, entries.data(), entries.size_bytes());
  }

  // Waits for one whole frame, and not for ever for the rest of one.
  Result<Frame> receive();

 private:
  Status read_all(void* to, std::size_t size, int* passed);

  int descriptor_ = -1;
  std::string path_;
  Error end_cause_;
};

}  // namespace ckpt::shim
