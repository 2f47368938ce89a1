// parse_shim_frame: what a rank's process says to its agent.
#include "agent/relay/shim_frames.hpp"

#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  fuzz::Input input(data, size);
  const auto type = input.number<std::uint8_t>();
  const auto payload = input.rest();
  const auto frame = relay::parse_shim_frame(type, payload);
  if (!frame) fuzz::require(!frame.error().message().empty());
  return 0;
}
