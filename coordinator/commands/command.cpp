#include "coordinator/commands/command.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern char** environ;

namespace ckpt::coordinator {

std::string exit_code_text() {
  std::string text = "Exit codes:\n";
#define CKPT_EXIT(name, number, meaning) text += "  " #number "\t" meaning "\n";
#include "coordinator/commands/exit_codes.def"
#undef CKPT_EXIT
  return text;
}

CLI::App* add_command(CLI::App& app, Context& context, const std::string& name,
                      const std::string& description, std::function<int()> body) {
  CLI::App* command = app.add_subcommand(name, description);
  command->callback([&context, body = std::move(body)] { context.status = body(); });
  command->footer(exit_code_text());
  return command;
}

void JobArgument::add_base_to(CLI::App& command) {
  command.add_option("--dir", base, "where jobs are kept [$CKPT_DIR, else ~/.ckpt-coord]")
      ->type_name("DIR");
}

void JobArgument::add_to(CLI::App& command, const std::string& what) {
  command.add_option("job", job, what)->required()->type_name("");
  add_base_to(command);
}

Result<std::string> JobArgument::path() const {
  return resolve_job_path(job, base.empty() ? default_base_directory() : base);
}

tl::expected<JobDirectory, int> JobArgument::open(Context& context) const {
  const auto where = path();
  if (!where) return tl::unexpected(complain(Exit::no_such_job, where.error()));
  auto directory = JobDirectory::open(context.files, *where);
  if (!directory) return tl::unexpected(complain(Exit::no_such_job, directory.error()));
  return *directory;
}

int complain(Exit code, const std::string& text) {
  std::fprintf(stderr, "ckpt-coord: %s\n", text.c_str());
  return static_cast<int>(code);
}

int complain(Exit code, const Error& error) { return complain(code, error.message()); }

Result<std::uint64_t> parse_duration(const std::string& text) {
  const auto bad = [&] {
    return fail("duration", "'" + text + "'", "it is to be like 30s, 10m, 1h30m or 500ms", EINVAL);
  };
  std::uint64_t total = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t number = 0;
    const std::size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      number = number * 10 + static_cast<std::uint64_t>(text[at++] - '0');
      if (number > 1'000'000'000) return bad();
    }
    if (at == first) return bad();
    std::size_t unit = at;
    while (unit < text.size() && (text[unit] < '0' || text[unit] > '9')) ++unit;
    const std::string name = text.substr(at, unit - at);
    at = unit;
    if (name == "ms")
      total += number;
    else if (name.empty() || name == "s")
      total += number * 1000;
    else if (name == "m" || name == "min")
      total += number * 60'000;
    else if (name == "h")
      total += number * 3'600'000;
    else if (name == "d")
      total += number * 86'400'000;
    else
      return bad();
  }
  // Ten years: more would not fit into the clocks that it is added to.
  constexpr std::uint64_t kMost = 3650ull * 86'400'000;
  if (text.empty() || total > kMost) return bad();
  return total;
}

CLI::Option* add_duration(CLI::App& command, const std::string& name, std::uint64_t& milliseconds,
                          const std::string& description) {
  return command
      .add_option_function<std::string>(
          name,
          [&milliseconds](const std::string& text) {
            milliseconds = parse_duration(text).value_or(0);
          },
          description)
      ->type_name("TIME")
      ->check([](const std::string& text) {
        const auto parsed = parse_duration(text);
        return parsed ? std::string() : parsed.error().message();
      });
}

int run_natively(const std::vector<std::string>& command) {
  tell("the job runs without checkpoints");
  std::vector<char*> words;
  for (const std::string& each : command) words.push_back(const_cast<char*>(each.c_str()));
  words.push_back(nullptr);
  ::setenv("CKPT_INSIDE_RUN", "1", 1);
  ::execvp(words[0], words.data());
  return complain(Exit::cannot_start, std::string(words[0]) + ": " + std::strerror(errno));
}

}  // namespace ckpt::coordinator
