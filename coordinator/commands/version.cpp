// ckpt-coord version
#include "coordinator/version.hpp"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.hpp"
#include "format/wire/messages.hpp"

namespace ckpt::coordinator {

void add_version(CLI::App& app, Context& context) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command = add_command(app, context, "version", "print the version", [as_json] {
    if (*as_json) {
      const nlohmann::json value = {{"version", kVersion}, {"protocol", wire::kProtocolVersion}};
      std::printf("%s\n", value.dump().c_str());
    } else {
      std::printf("ckpt-coord %s\n", kVersion);
    }
    return 0;
  });
  command->add_flag("--json", *as_json, "print JSON");
}

}  // namespace ckpt::coordinator
