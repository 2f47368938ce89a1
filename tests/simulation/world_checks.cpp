// What must hold in a simulated job.
#include <algorithm>
#include <sstream>

#include "format/image/generation_directory.hpp"
#include "tests/simulation/world.hpp"

namespace ckpt::simulation {

using coordinator::State;

void World::became_visible(std::uint64_t number, const std::string& from,
                           const std::vector<std::string>& parts) {
  const std::string where = "generation " + std::to_string(number);
  const SimulatedCoordinator* writer = nullptr;
  for (const Coordinator& each : coordinators_) {
    const Incarnation& office = each.process->office();
    const std::string own =
        image::partial_path(image::final_path_of(from), {office.number, office.term});
    if (own == from) writer = each.process.get();
  }
  if (writer == nullptr || !writer->alive() || writer->state() != State::commit ||
      writer->generation() != number) {
    return fault(where + " became visible though nobody commits it");
  }
  for (const Coordinator& each : coordinators_) {
    if (each.process->swept() && each.process->office().term > writer->office().term) {
      fault(where + " became visible behind the back of a successor");
    }
  }
  std::vector<SavedRank> saved(agent_of_rank_.size());
  std::size_t ranks = 0;
  for (const std::string& part : parts) {
    std::istringstream words(storage_.text(part));
    std::string kind;
    std::size_t key = 0;
    if (!(words >> kind >> key) || kind != "part" || key >= snapshots_.size()) {
      return fault(part + " is no node's file");
    }
    for (const auto& [rank, state] : snapshots_[key]) {
      saved[static_cast<std::size_t>(rank)] = state;
      ++ranks;
    }
  }
  if (ranks != saved.size()) return fault(where + " is not whole");
  check_cut(saved, where);
  committed_ = std::move(saved);
}

void World::check_cut(const std::vector<SavedRank>& saved, const std::string& where) {
  for (std::size_t from = 0; from < saved.size(); ++from) {
    if (saved[from].inside_collective) fault(where + " has a rank inside a collective");
    for (const auto& [to, count] : saved[from].sent) {
      const auto& received = saved[static_cast<std::size_t>(to)].received;
      const auto got = received.find(static_cast<std::int32_t>(from));
      if ((got == received.end() ? 0 : got->second) != count) {
        fault(where + ": channel " + std::to_string(from) + " to " + std::to_string(to));
      }
    }
  }
  for (const Communicator& communicator : program_.communicators) {
    const auto count = [&](std::int32_t rank) {
      const auto& begun = saved[static_cast<std::size_t>(rank)].begun;
      const auto found = begun.find(communicator.gid);
      return found == begun.end() ? 0 : found->second;
    };
    for (const std::int32_t rank : communicator.members) {
      if (count(rank) != count(communicator.members.front())) {
        fault(where + ": clocks of communicator " + std::to_string(communicator.gid));
      }
    }
  }
}

void World::run_on_from(const std::vector<SavedRank>& saved) {
  SimulatedJob again(program_, saved);
  bool moved = true;
  while (moved) {
    moved = false;
    for (std::int32_t rank = 0; rank < again.world_size(); ++rank) {
      while (again.move(rank)) moved = true;
    }
  }
  if (!again.all_finished() || again.in_the_network() != 0) fault("it does not run on to its end");
  for (const std::string& text : again.faults()) fault(text);
}

void World::check_end() {
  for (const std::string& text : job_->faults()) fault(text);
  for (std::int32_t rank = 0; rank < job_->world_size(); ++rank) {
    if (!job_->gone(rank) && !job_->doors_open(rank)) {
      fault("the doors of rank " + std::to_string(rank) + " stay closed");
    }
  }
  if (node_lost_) check_lost_node();
  if (announced()->unanswered() != 0) fault("a request has no answer");
  if (!committed_.empty()) run_on_from(committed_);
  // Whatever else lies about goes with the next start.
  image::GenerationDirectory generations(storage_, storage_.directory());
  if (!generations.sweep_partial({UINT64_MAX, 0})) fault("not swept");
  for (const std::string& name : storage_.strays()) fault(name + " is left");
}

// The job cannot go on: no other generation begins, and it is said why.
void World::check_lost_node() {
  SimulatedCoordinator& named = *announced();
  const auto blocked = named.session().blocked_by();
  if (!blocked) return fault("a dead node's ranks are not missed");
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    if (!lost_[i]) continue;
    for (const std::int32_t rank : agents_[i].ranks) {
      if (named.session().rank(rank) != nullptr) {
        fault("rank " + std::to_string(rank) + " of a dead node counts as present");
      }
    }
  }
  const int before = tally_.refused;
  named.request();
  if (tally_.refused != before + 1) fault("a request was not refused: " + *blocked);
}

}  // namespace ckpt::simulation
