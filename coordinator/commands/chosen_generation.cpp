#include "coordinator/commands/chosen_generation.hpp"

#include <cstdio>

#include "format/image/generation_directory.hpp"
#include "format/posix/patient_file_system.hpp"

namespace ckpt::coordinator {
namespace {

// A node's file that another node has just made may be seen late.
constexpr std::chrono::milliseconds kPatience{10'000};

tl::expected<ChosenGeneration, int> choose_named(Context& context,
                                                 const image::GenerationDirectory& generations,
                                                 std::uint64_t wanted) {
  const std::string path = generations.path_of(wanted);
  PatientFileSystem patient(context.files, kPatience);
  // The generation itself is not waited for: the user may have mistaken the number.
  if (const auto there = context.files.open(path, O_RDONLY); !there) {
    const bool missing = there.error().code == ENOENT;
    return tl::unexpected(complain(missing ? Exit::no_generation : Exit::bad_image, there.error()));
  }
  auto reader = image::GenerationReader::open(path, patient);
  if (!reader) return tl::unexpected(complain(Exit::bad_image, reader.error()));
  if (Status good = reader->verify(image::VerifyDepth::metadata); !good) {
    return tl::unexpected(complain(Exit::bad_image, good.error()));
  }
  return ChosenGeneration{wanted, path};
}

}  // namespace

tl::expected<ChosenGeneration, int> choose_generation(Context& context,
                                                      const JobDirectory& directory,
                                                      std::uint64_t wanted,
                                                      image::VerifyDepth depth) {
  PatientFileSystem patient(context.files, kPatience);
  image::GenerationDirectory generations(patient, directory.path());
  if (wanted != 0) return choose_named(context, generations, wanted);
  std::vector<image::SkippedGeneration> skipped;
  const auto newest = generations.newest_good(depth, &skipped);
  for (const image::SkippedGeneration& each : skipped) {
    std::fprintf(stderr, "ckpt-coord: generation %llu is passed over: %s\n",
                 static_cast<unsigned long long>(each.number), each.error.message().c_str());
  }
  if (!newest) {
    return tl::unexpected(
        complain(skipped.empty() ? Exit::no_generation : Exit::bad_image, newest.error()));
  }
  return ChosenGeneration{newest->number, newest->path};
}

}  // namespace ckpt::coordinator
