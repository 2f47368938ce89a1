// A generation file that was damaged, or made by somebody else.
//
// The input is a list of damages to a good file of two ranks, which is made
// here: u8 kind, u32 place (modulo its size), u8 count, bytes. So it stays small,
// and good for the schema of the day.
#include <unistd.h>

#include <cstdlib>

#include "format/image/generation_reader.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/format_image/sample_generation.hpp"

namespace {

using namespace ckpt;

std::vector<std::uint8_t> good_file(const std::string& path) {
  const auto written = image::sample::write(linux_file_system(), path, image::sample::job(2), 1);
  fuzz::require(written.has_value());
  return image::sample::read_bytes(path);
}

enum Damage : std::uint8_t { overwrite, cut, zeroes, copy, kinds };

void damage(std::vector<std::uint8_t>& file, fuzz::Input& input) {
  const auto kind = input.number<std::uint8_t>() % kinds;
  const std::size_t place = input.number<std::uint32_t>() % (file.size() + 1);
  const std::size_t count =
      std::min<std::size_t>(input.number<std::uint8_t>(), file.size() - place);
  const auto at = file.begin() + static_cast<std::ptrdiff_t>(place);
  switch (kind) {
    case overwrite: {
      const auto bytes = input.bytes(count);
      std::copy(bytes.begin(), bytes.end(), at);
      break;
    }
    case cut: file.resize(place); break;
    case zeroes: std::fill_n(at, count, std::uint8_t{0}); break;
    case copy: {
      const std::size_t from = input.number<std::uint32_t>() % (file.size() + 1);
      const std::size_t some = std::min(count, file.size() - from);
      std::memmove(file.data() + place, file.data() + from, some);
      break;
    }
  }
}

// In memory (memfd): nothing is left of it, whatever happens.
struct Place {
  Place() {
    char directory[] = "/dev/shm/ckpt-fuzz-XXXXXX";
    fuzz::require(::mkdtemp(directory) != nullptr);
    path = std::string(directory) + "/gen-000012.h5";
    good = good_file(path);
  }
  ~Place() {
    ::unlink(path.c_str());
    ::rmdir(directory_of(path).c_str());
  }
  std::string path;
  std::vector<std::uint8_t> good;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Place place;
  fuzz::Input input(data, size);
  auto file = place.good;
  for (int damages = 0; input.left() > 0 && damages < 16; ++damages) damage(file, input);
  image::sample::write_bytes(place.path, file);
  auto reader = image::GenerationReader::open(place.path);
  if (!reader) return 0;
  const auto verified = reader->verify(image::VerifyDepth::payload);
  for (const std::int32_t rank : reader->ranks()) static_cast<void>(reader->rank(rank));
  // A file whose every byte is as it was must pass; how it fails otherwise is free.
  if (file == place.good) fuzz::require(verified.has_value());
  return 0;
}
