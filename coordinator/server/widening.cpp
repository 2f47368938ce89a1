// For whom the coordinator listens, and where the job's directory says it is.
#include <unistd.h>

#include "coordinator/server/guarded.hpp"
#include "coordinator/server/own_addresses.hpp"
#include "coordinator/server/server.hpp"
#include "format/posix/host_name.hpp"
#include "format/posix/try.hpp"

namespace ckpt::coordinator {

namespace asio = boost::asio;
using asio::ip::tcp;

// IPv6 takes IPv4 as well, where the node has it.
Status Server::listen_for_all() {
  Status open = wide_listener_.open(tcp::endpoint(asio::ip::address_v6::any(), 0), *key_);
  if (!open) open = wide_listener_.open(tcp::endpoint(asio::ip::address_v4::any(), 0), *key_);
  wide_ = open.has_value();
  return open;
}

Result<CoordinatorAddress> Server::own_address() const {
  CoordinatorAddress address;
  address.port = wide_ ? wide_listener_.port() : listener_.port();
  address.pid = ::getpid();
  address.key = key_->text();
  address.node = host_name();
  address.addresses = {"127.0.0.1"};
  if (wide_) {
    auto own = CKPT_TRY(own_addresses());
    if (!own.empty()) address.addresses = std::move(own);
  }
  address.host = address.addresses.front();
  return address;
}

// A job whose command did not say that it spans nodes (a script calls mpirun):
// ranks that are not here, or none at all, have agents that cannot come.
void Server::arm_widening() {
  static constexpr auto kLook = std::chrono::seconds(1);
  static constexpr auto kNobody = std::chrono::seconds(10);
  widening_.expires_after(kLook);
  widening_.async_wait([this](const boost::system::error_code& error) {
    if (error || ended_) return;
    guarded(log_, "widening", [this] {
      const auto known = static_cast<std::int32_t>(session_.ranks_present());
      const bool missing = known > 0 && known < session_.world_size();
      const bool nobody = agents_.empty() && Clock::now() - started_ > kNobody;
      const bool wanted = (missing && missing_before_) || nobody;
      missing_before_ = missing;
      if (wanted)
        widen();
      else
        arm_widening();
    });
  });
}

void Server::widen() {
  const auto tell = [this](const Status& status) {
    if (status) {
      log_.info("listening_for_all_nodes", {{"port", wide_listener_.port()}});
      return;
    }
    if (!widening_failed_) log_.error("cannot_listen_for_all_nodes", {{"cause", status.error()}});
    widening_failed_ = true;
    if (!ended_) arm_widening();
  };
  if (!wide_) {
    if (Status open = listen_for_all(); !open) return tell(open);
  }
  const auto address = own_address();
  if (!address) return tell(tl::unexpected(address.error()));
  storage_.run(
      [this, address = *address]() -> Status {
        // It may have stood still in this; a successor's address is not replaced.
        CKPT_TRY(still_in_office(directory_, office_));
        return directory_.write_coordinator(address);
      },
      tell);
}

}  // namespace ckpt::coordinator
