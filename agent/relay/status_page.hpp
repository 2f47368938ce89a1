// StatusPage: the page a rank's shim writes what it is doing to.
//
// Purpose: to say who holds up a phase, also when the rank does not answer.
// Ownership: owns the memfd and the agent's mapping of it.
// Threads: the shim writes (relaxed stores), the agent reads; values may be torn
//   between fields, never within one.
// Errors: the failed call. Source: memfd_create(2), format/wire/shim_channel.h.
#pragma once

#include <cstdint>
#include <utility>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::relay {

class StatusPage {
 public:
  static Result<StatusPage> make();
  StatusPage(StatusPage&& other) noexcept;
  StatusPage& operator=(StatusPage&&) = delete;
  ~StatusPage();

  int descriptor() const { return memory_.get(); }
  // Device and inode: the page may be open in the rank and is not the program's.
  std::pair<std::uint64_t, std::uint64_t> file() const { return file_; }
  wire::RankActivity read(std::int32_t rank) const;

 private:
  StatusPage() = default;

  UniqueFd memory_;
  void* page_ = nullptr;
  std::pair<std::uint64_t, std::uint64_t> file_;
};

}  // namespace ckpt::relay
