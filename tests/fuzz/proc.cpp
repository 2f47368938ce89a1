// Files of /proc whose content a program decides in part: its name, the names of
// its files and mappings. The first byte says which.
#include "agent/proc/memory_map.hpp"
#include "agent/proc/process_facts.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  fuzz::Input input(data, size);
  const auto which = input.number<std::uint8_t>();
  const std::string text = input.rest_as_text();
  switch (which % 9) {
    case 0:
      if (const auto maps = proc::parse_maps(text)) {
        for (const auto& mapping : *maps) fuzz::require(mapping.start < mapping.end);
      }
      break;
    case 1:
      if (const auto maps = proc::parse_smaps(text)) {
        for (const auto& mapping : *maps) static_cast<void>(mapping.has_flag("wr"));
      }
      break;
    case 2: static_cast<void>(proc::parse_stat(text)); break;
    case 3: static_cast<void>(proc::parse_status(text)); break;
    case 4: static_cast<void>(proc::parse_limits(text)); break;
    case 5: static_cast<void>(proc::parse_fdinfo(text)); break;
    case 6: static_cast<void>(proc::parse_timers(text)); break;
    case 7: static_cast<void>(proc::parse_syscall_stack(text)); break;
    case 8: static_cast<void>(proc::parse_auxv(text)); break;
  }
  return 0;
}
