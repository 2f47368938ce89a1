// A coordinator of a simulation: the real step functions, the real term, and the
// real sweep and commit on a storage that others use as well.
//
// Purpose: what coordinator/server does around them, without sockets and clocks.
//   Its storage operations are stopped before each file operation, so another
//   coordinator's come between, and it may die there.
// Ownership: storage and job directory are the world's and outlive it.
// Threads: one; its storage operations run while it waits for them.
// Errors: what must not be is a fault, in words.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "coordinator/job_directory/incarnation_file.hpp"
#include "coordinator/liveness_fsm/liveness_fsm.hpp"
#include "coordinator/server/visible_generation.hpp"
#include "coordinator/session_fsm/session_fsm.hpp"
#include "tests/simulation/simulated_agent.hpp"

namespace ckpt::simulation {

// What happened in the schedules of a test, so that they are not too tame.
struct Tally {
  int commits = 0, aborts = 0, releases = 0, superseded = 0, joined_requests = 0, refused = 0;
  int lost_by_silence = 0, old_frames = 0;
  std::map<std::string, int> aborted_in;                       // by state
  std::map<std::string, std::map<std::string, int>> happened;  // failure, state

  void add(const Tally& other);
};

class SimulatedCoordinator {
 public:
  struct World {
    SharedStorage& storage;
    const coordinator::JobDirectory& directory;  // of the incarnation
    std::mt19937_64& random;
    Tally& tally;
    SimulatedAgent::Fault fault;
    bool duplicates = false;  // frames may come twice: what makes no sense is no fault
  };
  explicit SimulatedCoordinator(const World& world);

  bool alive() const { return alive_; }
  bool serving() const { return alive_ && serving_; }  // it is named in coordinator.json
  bool swept() const { return serving_; }
  bool idle() const;
  coordinator::State state() const { return checkpoint_.state(); }
  std::uint64_t generation() const { return checkpoint_.generation(); }
  std::string awaited() const { return checkpoint_.awaited_text(); }
  const Incarnation& office() const { return office_; }
  const coordinator::SessionFsm& session() const { return session_; }
  const std::set<std::int32_t>& departed() const { return departed_; }
  int unanswered() const { return waiting_; }

  void accept(const LinkPointer& link) { links_.push_back({link, 0, false}); }
  void request();
  void die();
  void tick();
  // Each: one thing; false: there is nothing.
  bool read(const Link& link);
  bool notice(const Link& link);
  bool storage_step();
  bool send_targets();

 private:
  struct Peer {
    LinkPointer link;
    std::uint32_t number = 0;
    bool admitted = false;
  };
  struct Task {
    std::function<void(StorageOperation&)> body;
    std::function<void()> then;
  };

  void start();
  Peer* peer_of(const Link& link);
  void admit(Peer& peer, const wire::Message& message);
  void close(const Link& link, const std::string& reason);
  void take(const std::vector<coordinator::SessionNews>& news);
  void prepare();
  void begin(const Result<std::uint64_t>& number);
  void carry_out(const coordinator::Actions& actions);
  void perform(const coordinator::Send& action);
  void perform(const coordinator::OrderSnapshot& action);
  void perform(const coordinator::Commit& action);
  void perform(const coordinator::Ended& action);
  void perform(const coordinator::Entered&) {}
  void perform(const coordinator::FlushAdvanced&) {}
  void perform(const coordinator::CallForTargets&) { targets_due_ = true; }
  void committed(const Result<std::string>& path);
  void leave_office();

  World world_;
  bool alive_ = true, serving_ = false, preparing_ = false, targets_due_ = false;
  Incarnation office_;
  coordinator::SessionFsm session_;
  coordinator::CheckpointFsm checkpoint_;
  coordinator::LivenessFsm liveness_;
  std::vector<Peer> links_;
  std::uint32_t next_agent_ = 0;
  std::uint64_t last_number_ = 0;
  std::map<std::uint32_t, std::string> ordered_;
  std::set<std::string> nodes_ordered_;
  std::set<std::int32_t> departed_;
  int waiting_ = 0, tries_ = 0;
  std::deque<Task> tasks_;
  std::unique_ptr<StorageOperation> operation_;  // of the first task
};

}  // namespace ckpt::simulation
