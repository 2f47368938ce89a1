// FrameReader and decode: bytes from the network, after the handshake.
#include "format/wire/messages.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  fuzz::Input input(data, size);
  const auto piece = input.number<std::uint8_t>();
  wire::FrameReader reader(wire::kMaxHelloFrame);
  while (input.left() > 0) {
    const auto bytes = input.bytes(piece == 0 ? input.left() : piece);
    reader.append(bytes);
    for (;;) {
      const auto next = reader.next();
      if (!next) {
        fuzz::require(!reader.next());  // broken once, broken for good
        return 0;
      }
      if (!*next) break;
      // What was understood says the same when it is sent on.
      const auto frame = wire::encode(**next);
      fuzz::require(frame.has_value());
      const auto again = wire::decode({frame->data() + 4, frame->size() - 4});
      fuzz::require(again.has_value() && *again == **next);
    }
  }
  return 0;
}
