// What `ckpt-coord status` shows of a running job.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "coordinator/server/server.hpp"
#include "coordinator/version.hpp"

namespace ckpt::coordinator {

std::string Server::status_json() const {
  using nlohmann::json;
  const auto now = Clock::now();
  json status;
  status["job"] = job_.name;
  status["directory"] = directory_.path();
  status["version"] = kVersion;
  status["coordinator_pid"] = ::getpid();
  status["uptime_s"] =
      std::chrono::duration_cast<std::chrono::seconds>(now - started_).count();
  status["world_size"] = session_.world_size();
  status["restarted_from"] = session_.restarted_from();
  status["state"] = state_name(checkpoint_.state());
  if (checkpoint_.state() != State::idle) {
    status["generation"] = checkpoint_.generation();
    status["waits_for"] = checkpoint_.awaited_text();
  }
  const auto blocked = session_.blocked_by();
  status["ready"] = !blocked.has_value();
  if (blocked) status["blocked_by"] = *blocked;
  status["agents"] = json::array();
  for (const auto& [number, agent] : session_.agents()) {
    status["agents"].push_back({{"agent", number}, {"node", agent.node}, {"pid", agent.pid}});
  }
  status["ranks"] = json::array();
  for (const auto& [rank, record] : session_.ranks()) {
    status["ranks"].push_back({{"rank", rank},
                               {"agent", record.agent},
                               {"pid", record.pid},
                               {"epoch", record.epoch},
                               {"phase", rank_phase_name(record.phase)}});
  }
  status["commits"] = commits_;
  status["failures"] = failures_;
  status["every_s"] = job_.options.every_seconds;
  status["keep"] = job_.options.keep;
  status["timeout_ms"] = job_.options.timeout_ms;
  if (job_.options.every_seconds != 0) {
    status["next_in_s"] =
        std::chrono::duration_cast<std::chrono::seconds>(next_every_ - now).count();
  }
  if (last_.at_ns != 0) {
    status["last"] = {
        {"generation", last_.outcome.generation},
        {"committed", last_.outcome.verdict == static_cast<std::uint32_t>(wire::Verdict::committed)},
        {"reason", last_.outcome.reason},
        {"bytes", last_.outcome.bytes},
        {"downtime_s", static_cast<double>(last_.outcome.downtime_ns) / 1e9},
        {"duration_s", static_cast<double>(last_.outcome.duration_ns) / 1e9},
        {"at_ns", last_.at_ns}};
  }
  return status.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace ckpt::coordinator
