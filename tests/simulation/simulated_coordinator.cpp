#include "tests/simulation/simulated_coordinator.hpp"

#include <algorithm>
#include <utility>

#include "format/posix/try.hpp"

namespace ckpt::simulation {

using coordinator::State;

void Tally::add(const Tally& other) {
  commits += other.commits;
  aborts += other.aborts;
  releases += other.releases;
  superseded += other.superseded;
  joined_requests += other.joined_requests;
  refused += other.refused;
  lost_by_silence += other.lost_by_silence;
  old_frames += other.old_frames;
  for (const auto& [state, count] : other.aborted_in) aborted_in[state] += count;
  for (const auto& [failure, states] : other.happened) {
    for (const auto& [state, count] : states) happened[failure][state] += count;
  }
}

// ---- its life

SimulatedCoordinator::SimulatedCoordinator(const World& world) : world_(world) { start(); }

// As Server::start(): the term first, then the sweep, then others are told of it.
void SimulatedCoordinator::start() {
  tasks_.push_back({[this](StorageOperation& operation) {
                      operation.pause();
                      auto office = coordinator::raise_term(linux_file_system(), world_.directory);
                      if (!office) return world_.fault(office.error().message());
                      office_ = *office;
                      SteppedFiles files(world_.storage, operation);
                      image::GenerationDirectory generations(files, world_.storage.directory());
                      const auto swept = generations.sweep_partial({office_.number, office_.term});
                      if (!swept) return world_.fault(swept.error().message());
                      for (const std::string& name : *swept) {
                        last_number_ =
                            std::max(last_number_, image::generation_number_of(name).value_or(0));
                      }
                    },
                    [this] { serving_ = true; }});
}

void SimulatedCoordinator::die() {
  alive_ = false;
  operation_.reset();
  tasks_.clear();
  targets_due_ = false;
  for (const Peer& peer : links_) {
    peer.link->coordinator_open = false;
    peer.link->up.clear();
  }
  links_.clear();
}

void SimulatedCoordinator::leave_office() {
  ++world_.tally.superseded;
  carry_out(checkpoint_.step(coordinator::AbortRequest{"superseded"}));
  die();
}

bool SimulatedCoordinator::idle() const {
  return tasks_.empty() && !targets_due_ && !preparing_ && checkpoint_.state() == State::idle;
}

bool SimulatedCoordinator::send_targets() {
  if (!std::exchange(targets_due_, false)) return false;
  carry_out(checkpoint_.step(coordinator::TargetsDue{}));
  return true;
}

bool SimulatedCoordinator::storage_step() {
  if (tasks_.empty()) return false;
  if (!operation_) operation_ = std::make_unique<StorageOperation>(tasks_.front().body);
  if (operation_->step()) return true;
  operation_.reset();
  const Task task = std::move(tasks_.front());
  tasks_.pop_front();
  task.then();
  return true;
}

// ---- connections

SimulatedCoordinator::Peer* SimulatedCoordinator::peer_of(const Link& link) {
  const auto found = std::find_if(links_.begin(), links_.end(),
                                  [&](const Peer& peer) { return peer.link.get() == &link; });
  return found == links_.end() ? nullptr : &*found;
}

bool SimulatedCoordinator::read(const Link& link) {
  Peer* peer = peer_of(link);
  if (peer == nullptr || peer->link->up.empty()) return false;
  const wire::Message message = Link::open(peer->link->up);
  if (!peer->admitted) {
    admit(*peer, message);
    return true;
  }
  const std::uint32_t agent = peer->number;
  static_cast<void>(liveness_.heard(agent));
  const auto newer = std::any_of(links_.begin(), links_.end(), [&](const Peer& each) {
    return each.admitted && each.number > agent &&
           session_.agents().at(each.number).node == session_.agents().at(agent).node;
  });
  if (newer) ++world_.tally.old_frames;
  const auto news = session_.step(agent, message);
  carry_out(checkpoint_.step(coordinator::FromAgent{agent, message}));
  take(news);
  return true;
}

void SimulatedCoordinator::admit(Peer& peer, const wire::Message& message) {
  const auto* hello = std::get_if<wire::AgentHello>(&message);
  if (hello == nullptr || hello->incarnation != office_.number) {
    return close(*peer.link, "it is not of this start");
  }
  peer.number = next_agent_++;
  peer.admitted = true;
  session_.agent_joined(peer.number, hello->node, hello->pid);
  liveness_.joined(peer.number, hello->node);
  peer.link->say_down(wire::AgentWelcome{wire::kProtocolVersion, peer.number, 1, 0});
}

bool SimulatedCoordinator::notice(const Link& link) {
  if (link.silent || (!link.cut && link.agent_open)) return false;
  if (peer_of(link) == nullptr) return false;
  close(link, "it was reset");
  return true;
}

void SimulatedCoordinator::close(const Link& link, const std::string& reason) {
  Peer* found = peer_of(link);
  if (found == nullptr) return;
  const Peer peer = *found;
  links_.erase(links_.begin() + (found - links_.data()));
  peer.link->coordinator_open = false;
  peer.link->up.clear();
  if (!peer.admitted) return;
  liveness_.left(peer.number);
  take(session_.agent_lost(peer.number, reason));
  carry_out(checkpoint_.step(coordinator::AgentLost{peer.number, reason}));
}

void SimulatedCoordinator::take(const std::vector<coordinator::SessionNews>& news) {
  for (const coordinator::SessionNews& each : news) {
    if (const auto* it = std::get_if<coordinator::RanksDeparted>(&each)) {
      departed_.insert(it->ranks.begin(), it->ranks.end());
    }
  }
}

void SimulatedCoordinator::tick() {
  if (!serving()) return;
  carry_out(checkpoint_.step(coordinator::Tick{}));
  std::set<std::uint32_t> answering;
  for (const Peer& peer : links_) {
    if (!peer.admitted || !peer.link->whole()) continue;
    answering.insert(peer.number);
    static_cast<void>(liveness_.heard(peer.number));
  }
  for (const coordinator::LivenessAction& action : liveness_.tick(answering)) {
    const auto* it = std::get_if<coordinator::AgentSilent>(&action);
    if (it == nullptr) continue;
    const auto silent = std::find_if(links_.begin(), links_.end(), [&](const Peer& peer) {
      return peer.admitted && peer.number == it->agent;
    });
    if (silent == links_.end()) continue;
    ++world_.tally.lost_by_silence;
    const LinkPointer link = silent->link;
    close(*link, "silent");
  }
  // One that never said hello.
  for (const Peer& peer : std::vector<Peer>(links_)) {
    if (!peer.admitted && peer.link->up.empty() && !peer.link->whole()) close(*peer.link, "");
  }
}

// ---- checkpoints, as Server does them

void SimulatedCoordinator::request() {
  if (!serving()) return;
  ++waiting_;
  if (checkpoint_.state() != State::idle || preparing_) {
    ++world_.tally.joined_requests;
    if (checkpoint_.state() == State::idle) return;
    // Whoever asks twice gets one generation.
    const auto actions = checkpoint_.step(coordinator::Begin{
        checkpoint_.generation() + 1, session_.world_size(), session_.participants()});
    if (!actions.empty()) world_.fault("a second request began a generation");
    return;
  }
  if (session_.blocked_by()) {
    world_.tally.refused += std::exchange(waiting_, 0);
    return;
  }
  prepare();
}

void SimulatedCoordinator::prepare() {
  preparing_ = true;
  const auto number = std::make_shared<Result<std::uint64_t>>(0);
  tasks_.push_back(
      {[this, number](StorageOperation& operation) {
         SteppedFiles files(world_.storage, operation);
         if (Status ours = still_in_office(world_.directory, office_); !ours) {
           *number = tl::unexpected(ours.error());
           return;
         }
         *number = image::GenerationDirectory(files, world_.storage.directory()).next_number();
       },
       [this, number] { begin(*number); }});
}

void SimulatedCoordinator::begin(const Result<std::uint64_t>& number) {
  preparing_ = false;
  if (!number) return leave_office();
  if (session_.blocked_by()) {
    world_.tally.refused += std::exchange(waiting_, 0);
    return;
  }
  last_number_ = std::max(last_number_ + 1, *number);
  ordered_.clear();
  nodes_ordered_.clear();
  carry_out(checkpoint_.step(
      coordinator::Begin{last_number_, session_.world_size(), session_.participants()}));
}

void SimulatedCoordinator::carry_out(const coordinator::Actions& actions) {
  for (const coordinator::Action& action : actions) {
    std::visit([&](const auto& held) { perform(held); }, action);
  }
}

void SimulatedCoordinator::perform(const coordinator::Send& action) {
  if (std::holds_alternative<wire::Release>(action.message)) ++world_.tally.releases;
  for (const Peer& peer : links_) {
    if (peer.admitted && peer.number == action.agent) peer.link->say_down(action.message);
  }
}

void SimulatedCoordinator::perform(const coordinator::OrderSnapshot& action) {
  const std::string path = world_.storage.directory() + "/";
  std::string file = path + image::generation_file_name(checkpoint_.generation());
  if (!action.only) {
    std::string name = action.node;
    while (!nodes_ordered_.insert(name).second) name += "-" + std::to_string(action.agent);
    file = path + image::node_file_name(checkpoint_.generation(), name);
  }
  wire::Snapshot snapshot;
  snapshot.generation = checkpoint_.generation();
  snapshot.partial_path = image::partial_path(file, {office_.number, office_.term});
  ordered_[action.agent] = snapshot.partial_path;
  perform(coordinator::Send{action.agent, snapshot});
}

void SimulatedCoordinator::perform(const coordinator::Commit& action) {
  const coordinator::CommitOrder order{action, {}, ordered_, {office_.number, office_.term}};
  const auto path = std::make_shared<Result<std::string>>("");
  const auto link = [this](FileSystem& files, const std::string& partial, const image::JobRecord&,
                           const std::vector<image::NodeFile>& nodes) -> Status {
    std::string text = "links";
    for (const image::NodeFile& node : nodes) {
      CKPT_TRY(files.open(node.path, O_RDONLY));
      text += " " + base_name_of(node.path);
    }
    return world_.storage.write(files, partial, text);
  };
  tasks_.push_back({[this, order, link, path](StorageOperation& operation) {
                      SteppedFiles files(world_.storage, operation);
                      const coordinator::Permission permission{
                          [this] { return still_in_office(world_.directory, office_); },
                          [] { return Status(); }};
                      *path =
                          make_visible(files, world_.storage.directory(), order, permission, link);
                    },
                    [this, path] { committed(*path); }});
}

void SimulatedCoordinator::committed(const Result<std::string>& path) {
  if (!path && path.error().code == coordinator::kSuperseded) return leave_office();
  carry_out(checkpoint_.step(
      coordinator::CommitEnded{path.has_value(), path ? std::string() : path.error().message()}));
}

void SimulatedCoordinator::perform(const coordinator::Ended& action) {
  if (action.verdict == wire::Verdict::timed_out) world_.fault("a deadline: " + action.reason);
  if (!world_.duplicates && action.reason.find(" sent ") != std::string::npos) {
    world_.fault(action.reason);
  }
  const auto finish = [this, again = action.again] {
    if (again && ++tries_ < 5 && !session_.blocked_by()) {
      if (!preparing_ && checkpoint_.state() == State::idle) prepare();
      return;
    }
    tries_ = 0;
    if (checkpoint_.state() == State::idle && !preparing_) waiting_ = 0;
  };
  if (action.verdict == wire::Verdict::committed) {
    ++world_.tally.commits;
    return finish();
  }
  ++world_.tally.aborts;
  ++world_.tally.aborted_in[coordinator::state_name(action.during)];
  tasks_.push_back({[this, ordered = ordered_](StorageOperation& operation) {
                      SteppedFiles files(world_.storage, operation);
                      for (const auto& [agent, partial] : ordered) {
                        static_cast<void>(files.unlink(partial));
                      }
                    },
                    finish});
}

}  // namespace ckpt::simulation
