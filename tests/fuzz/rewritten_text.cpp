// The trailer of a rewritten library, and the steering that is done by it: in
// the arena, on a page that is no code.
#include <sys/mman.h>

#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/rewritten_format.h"
#include "mpi_shim/host/steering.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace ckpt;

constexpr std::uint64_t kLibrary = 3 * lower::kPage;

std::uint64_t text_in_arena() {
  fuzz::require(lower::arena_open() == 0);
  for (std::uint32_t kind = 0; kind < lower::kSteerKinds; ++kind)
    lower::control().stubs[kind] = CKPT_ARENA_START + kind * 16;
  const long at =
      lower::arena_mmap(kLibrary, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  fuzz::require(at > 0);
  return static_cast<std::uint64_t>(at);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::uint64_t text = text_in_arena();
  fuzz::Input input(data, size);
  const auto trailer = input.number<lower::RewrittenTrailer>();
  if (!lower::is_sound(trailer, kLibrary, lower::kSteerKinds)) return 0;
  // The code: mov $n,%eax; syscall, again and again, so that some sites fit.
  constexpr std::uint8_t kCode[] = {0xb8, 9, 0, 0, 0, 0x0f, 0x05};
  for (std::uint64_t at = 0; at < kLibrary; ++at)
    reinterpret_cast<std::uint8_t*>(text)[at] = kCode[at % sizeof kCode];
  const long steered = lower::steer_text(trailer, text, 0, kLibrary, PROT_READ | PROT_WRITE);
  static_cast<void>(steered);
  // Text that is mapped in part: sites outside of it are another mapping's.
  static_cast<void>(lower::steer_text(trailer, text + lower::kPage, lower::kPage, lower::kPage,
                                      PROT_READ | PROT_WRITE));
  return 0;
}
