// coordinator.json, and the key in it.
#include "format/tls/job_key.hpp"
#include "format/wire/coordinator_file.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  const auto address = wire::parse_coordinator_file(fuzz::Input(data, size).rest_as_text());
  if (!address) return 0;
  fuzz::require(address->port > 0 && address->pid > 0);
  const auto key = tls::JobKey::from_text(address->key);
  if (key) fuzz::require(key->text() == address->key);
  const auto again = wire::parse_coordinator_file(wire::coordinator_file_text(*address));
  fuzz::require(again && again->host == address->host && again->port == address->port);
  return 0;
}
