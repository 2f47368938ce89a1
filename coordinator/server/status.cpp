// What `ckpt-coord status` shows of a running job.
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/server/server.hpp"
#include "coordinator/version.hpp"

namespace ckpt::coordinator {

namespace {
constexpr std::int32_t kRanksListed = 4096;  // of a bigger job the first: it must fit a message
}  // namespace

std::string Server::status_json() const {
  using nlohmann::json;
  const auto now = Clock::now();
  json status;
  status["job"] = job_.name;
  status["directory"] = directory_.path();
  status["version"] = kVersion;
  status["coordinator_pid"] = ::getpid();
  status["uptime_s"] = std::chrono::duration_cast<std::chrono::seconds>(now - started_).count();
  status["world_size"] = session_.world_size();
  status["restarted_from"] = session_.restarted_from();
  status["state"] = state_name(checkpoint_.state());
  if (checkpoint_.state() != State::idle) {
    status["generation"] = checkpoint_.generation();
    status["waits_for"] = checkpoint_.awaited_text();
  }
  const auto blocked = blocked_by();
  status["ready"] = !blocked.has_value();
  if (blocked) status["blocked_by"] = *blocked;
  status["agents"] = json::array();
  for (const auto& [number, agent] : session_.agents()) {
    const double silent = static_cast<double>(liveness_.silence(number)) *
                          static_cast<double>(job_.options.silence_ms) / 1e3 / kTicksToLose;
    status["agents"].push_back({{"agent", number},
                                {"node", agent.node},
                                {"pid", agent.pid},
                                {"silent_s", silent},
                                {"suspected", liveness_.suspected(number)}});
  }
  status["ranks_present"] = session_.ranks_present();
  status["gone_nodes"] = json::array();
  for (const auto& [node, reason] : gone_nodes_) {
    status["gone_nodes"].push_back({{"node", node}, {"reason", reason}});
  }
  status["incarnation"] = office_.number;
  status["coordinator_term"] = office_.term;
  status["ranks"] = json::array();
  for (std::int32_t rank = 0; rank < std::min(session_.world_size(), kRanksListed); ++rank) {
    const RankRecord* record = session_.rank(rank);
    if (record == nullptr) continue;
    status["ranks"].push_back({{"rank", rank},
                               {"agent", record->agent},
                               {"pid", record->pid},
                               {"epoch", record->epoch},
                               {"phase", rank_phase_name(record->phase)}});
  }
  status["commits"] = commits_;
  status["failures"] = failures_;
  status["every_s"] = job_.options.every_seconds;
  status["keep"] = job_.options.keep;
  status["timeout_ms"] = job_.options.timeout_ms;
  status["every"] = job_.options.every_auto           ? "auto"
                    : job_.options.every_seconds != 0 ? "given"
                                                      : "asked";
  status["silence_ms"] = job_.options.silence_ms;
  if (plan_.interval_s > 0) {
    status["interval_s"] = plan_.interval_s;
    status["interval_why"] = plan_.why;
    status["next_in_s"] =
        std::chrono::duration_cast<std::chrono::seconds>(next_every_ - now).count();
  }
  if (last_.at_ns != 0) {
    status["last"] = {{"generation", last_.outcome.generation},
                      {"committed", last_.outcome.verdict ==
                                        static_cast<std::uint32_t>(wire::Verdict::committed)},
                      {"reason", last_.outcome.reason},
                      {"bytes", last_.outcome.bytes},
                      {"downtime_s", static_cast<double>(last_.outcome.downtime_ns) / 1e9},
                      {"duration_s", static_cast<double>(last_.outcome.duration_ns) / 1e9},
                      {"at_ns", last_.at_ns}};
  }
  return status.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace ckpt::coordinator
