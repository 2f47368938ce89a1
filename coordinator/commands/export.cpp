// ckpt-coord export: one self-contained file of a generation.
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/chosen_generation.hpp"
#include "coordinator/commands/command.hpp"
#include "coordinator/terminal/progress_line.hpp"
#include "coordinator/terminal/words.hpp"
#include "format/image/generation_export.hpp"

namespace ckpt::coordinator {
namespace {

struct ExportOptions {
  JobArgument job;
  std::uint64_t generation = 0;
  std::string file;
  bool as_json = false, quiet = false;
};

Exit exit_of(const Error& error) {
  switch (error.code) {
    case EEXIST:
    case ENOSPC:
    case EACCES:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
    case EDQUOT:
    case EPERM:
    case EISDIR: return Exit::cannot_write;
    default: return Exit::bad_image;
  }
}

int run_export(Context& context, const ExportOptions& options) {
  const auto directory = options.job.open(context);
  if (!directory) return directory.error();
  const auto chosen =
      choose_generation(context, *directory, options.generation, image::VerifyDepth::metadata);
  if (!chosen) return chosen.error();
  auto reader = image::GenerationReader::open(chosen->path, context.files);
  if (!reader) return complain(Exit::bad_image, reader.error());
  Result<std::uint64_t> bytes = 0;
  {
    ProgressLine line(options.quiet || options.as_json);
    const auto started = std::chrono::steady_clock::now();
    bytes = image::export_generation(
        context.files, *reader, options.file, [&](std::uint64_t done, std::uint64_t total) {
          const auto took = std::chrono::steady_clock::now() - started;
          line.redraw(bytes_and_rate(done, total, std::chrono::duration<double>(took).count()));
        });
  }
  if (!bytes) return complain(exit_of(bytes.error()), bytes.error());
  if (options.as_json) {
    const nlohmann::json value = {{"job", reader->job().job},
                                  {"generation", chosen->number},
                                  {"world_size", reader->job().world_size},
                                  {"path", options.file},
                                  {"payload_bytes", *bytes}};
    std::printf("%s\n",
                value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    std::printf("generation %llu of %s exported to %s: %d ranks, %s of pages\n",
                static_cast<unsigned long long>(chosen->number), directory->name().c_str(),
                options.file.c_str(), reader->job().world_size, in_words(*bytes).c_str());
  }
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Context& context) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = add_command(app, context, "export",
                                  "write a generation as one file of its own: export JOB FILE",
                                  [&context, options] { return run_export(context, *options); });
  options->job.add_to(*command);
  command->add_option("file", options->file, "the file to make; it must not exist")
      ->required()
      ->type_name("");
  command->add_option("--generation", options->generation, "which one [the newest good one]")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_flag("--quiet", options->quiet, "no progress");
  command->add_flag("--json", options->as_json, "print JSON");
}

}  // namespace ckpt::coordinator
