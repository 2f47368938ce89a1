// ckpt-coord verify: reads generations and checks every checksum.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.hpp"
#include "format/image/generation_directory.hpp"
#include "format/image/generation_reader.hpp"

namespace ckpt::coordinator {
namespace {

using nlohmann::json;

struct VerifyOptions {
  JobArgument job;
  std::uint64_t generation = 0;
  bool quick = false, as_json = false;
};

struct Verdict {
  std::string path;
  bool missing = false;
  std::string problem;  // empty: good
  std::uint64_t bytes = 0;
};

Verdict verify_file(Context& context, const std::string& path, bool quick) {
  Verdict verdict{path};
  auto reader = image::GenerationReader::open(path, context.files);
  if (!reader) {
    verdict.missing = reader.error().code == ENOENT;
    verdict.problem = reader.error().message();
    return verdict;
  }
  const auto depth = quick ? image::VerifyDepth::metadata : image::VerifyDepth::payload;
  const Status good =
      reader->verify(depth, [&verdict](std::uint64_t bytes) { verdict.bytes = bytes; });
  if (!good) verdict.problem = good.error().message();
  return verdict;
}

bool is_file(Context& context, const std::string& path) {
  const auto status = context.files.stat(path);
  return status && status->regular;
}

int verify(Context& context, const VerifyOptions& options) {
  std::vector<std::string> paths;
  const std::string& subject = options.job.job;
  const bool named_as_file = subject.size() > 3 && subject.rfind(".h5") == subject.size() - 3;
  if (named_as_file || is_file(context, subject)) {
    paths.push_back(subject);
  } else {
    const auto directory = options.job.open(context);
    if (!directory) return directory.error();
    image::GenerationDirectory generations(context.files, directory->path());
    if (options.generation != 0) {
      paths.push_back(generations.path_of(options.generation));
    } else {
      const auto all = generations.list();
      if (!all) return complain(Exit::failed, all.error());
      for (const image::GenerationEntry& each : *all) {
        if (each.state != image::GenerationState::partial) paths.push_back(each.path);
      }
    }
    if (paths.empty()) {
      return complain(Exit::no_generation, directory->name() + " has no generation");
    }
  }
  Exit code = Exit::ok;
  json all = json::array();
  for (const std::string& path : paths) {
    const Verdict verdict = verify_file(context, path, options.quick);
    const bool good = verdict.problem.empty();
    if (!good) code = verdict.missing ? Exit::no_generation : Exit::bad_image;
    all.push_back({{"path", path},
                   {"good", good},
                   {"problem", verdict.problem},
                   {"payload_bytes", verdict.bytes}});
    if (options.as_json) continue;
    if (good) {
      std::printf("%s: good%s\n", path.c_str(),
                  options.quick ? " (records; pages were not read)"
                                : (", " + in_words(verdict.bytes) + " of pages").c_str());
    } else {
      std::fprintf(stderr, "ckpt-coord: %s\n", verdict.problem.c_str());
    }
  }
  if (options.as_json) {
    std::printf("%s\n", all.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  }
  return static_cast<int>(code);
}

}  // namespace

void add_verify(CLI::App& app, Context& context) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = add_command(app, context, "verify",
                                  "read a job's generations, or one file, and check every checksum",
                                  [&context, options] { return verify(context, *options); });
  options->job.add_to(*command, "name or directory of the job, or a generation file");
  command->add_option("--generation", options->generation, "this one alone [all]")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("--quick", options->quick, "check the records, do not read the pages");
  command->add_flag("--json", options->as_json, "print JSON");
}

}  // namespace ckpt::coordinator
