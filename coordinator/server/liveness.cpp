// Heartbeats of the coordinator: who is silent, and whom that is told.
#include <algorithm>
#include <chrono>

#include "coordinator/server/guarded.hpp"
#include "coordinator/server/server.hpp"

namespace ckpt::coordinator {

void Server::arm_heartbeat() {
  heartbeat_.expires_after(std::chrono::milliseconds(job_.options.silence_ms / kTicksToLose));
  heartbeat_.async_wait([this](const boost::system::error_code& error) {
    if (error || ended_) return;
    guarded(log_, "heartbeat", [&] { beat(); });
    arm_heartbeat();
  });
}

void Server::beat() {
  std::set<std::uint32_t> answering;
  for (const auto& [number, connection] : agents_) {
    if (connection->kernel_answers()) answering.insert(number);
  }
  perform(liveness_.tick(answering));
}

void Server::perform(const LivenessActions& actions) {
  for (const LivenessAction& action : actions) {
    std::visit([this](const auto& one) { perform(one); }, action);
  }
}

void Server::perform(const SendPing& action) {
  const auto it = agents_.find(action.agent);
  if (it != agents_.end()) it->second->send(wire::Ping{action.sequence});
}

void Server::perform(const AgentSuspected& action) {
  log_.warning("agent_suspected", {{"agent", action.agent}, {"node", action.node}});
}

void Server::perform(const AgentRecovered& action) {
  log_.info("agent_recovered", {{"agent", action.agent}, {"node", action.node}});
}

void Server::perform(const AgentSilent& action) {
  const auto it = agents_.find(action.agent);
  if (it == agents_.end()) return;
  const std::string seconds = std::to_string((job_.options.silence_ms + 999) / 1000) + " s";
  const std::string reason =
      action.node_gone ? "node " + action.node +
                             " is lost: neither its agent nor its kernel has "
                             "answered for " +
                             seconds
                       : "the agent has not answered for " + seconds + ", though its node does";
  log_.error(action.node_gone ? "node_lost" : "agent_hangs",
             {{"agent", action.agent}, {"node", action.node}, {"cause", reason}});
  if (action.node_gone) {
    report_("node-lost " + action.node + (has_ranks(action.agent) ? " 1 " : " 0 ") + reason);
  }
  if (action.node_gone && has_ranks(action.agent)) gone_nodes_[action.node] = reason;
  it->second->close(reason);
}

bool Server::has_ranks(std::uint32_t agent) const {
  const auto record = session_.agents().find(agent);
  if (record == session_.agents().end()) return false;
  const auto& ranks = record->second.ranks;
  return std::any_of(ranks.begin(), ranks.end(), [&](std::int32_t number) {
    const RankRecord* rank = session_.rank(number);
    return rank != nullptr && rank->agent == agent;
  });
}

// Each agent is to be heard once more, or be lost, before the answer.
void Server::survey(const Connection::Pointer& connection) {
  Survey survey{connection, {}};
  for (const auto& [number, agent] : agents_) {
    survey.awaited.insert(number);
    agent->send(wire::Ping{0});
  }
  surveys_.push_back(std::move(survey));
  answer_surveys(std::nullopt);
}

void Server::answer_surveys(std::optional<std::uint32_t> heard) {
  if (surveys_.empty()) return;  // it is asked at each message
  wire::Nodes answer;
  for (const auto& [node, reason] : gone_nodes_) answer.gone.push_back(node);
  for (auto it = surveys_.begin(); it != surveys_.end();) {
    if (heard) it->awaited.erase(*heard);
    if (!it->awaited.empty()) {
      ++it;
      continue;
    }
    if (const auto connection = it->connection.lock()) connection->send(answer);
    it = surveys_.erase(it);
  }
}

}  // namespace ckpt::coordinator
