#include "mpi_shim/shim_thread.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/incarnation/incarnation.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/agent_silence.hpp"
#include "mpi_shim/agent_starter.hpp"
#include "mpi_shim/cut_state.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/epoch.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/private_comms.hpp"
#include "mpi_shim/rank_cut.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

namespace {

constexpr std::size_t kStackSize = 1u << 20;
// A restart puts this thread back into poll() on descriptors that are others'
// by then; it must not wait there for ever.
constexpr int kDrainedMs = 50;
// Between rounds of driving the lower half when nothing moves.
constexpr int kDrivingMs = 1;
constexpr int kBusyRounds = 200;

// MPI_Finalize does not wait longer for a thread that storage holds up.
constexpr int kStopS = 3;

volatile bool g_stop = false;
volatile bool g_left_behind = false;     // MPI_Finalize is over: touch nothing any more
volatile int g_channel_descriptor = -1;  // for a child of the program to close
pthread_t g_thread;

class ShimThread {
 public:
  explicit ShimThread(const char* agent_socket)
      : socket_(agent_socket), cut_(channel_, g_lower->rank, g_lower->world_size) {}

  void run() {
    become_part_of_the_shim();
    starter_.emplace(socket_, g_lower->environment, g_lower->descriptor_base);
    reach_agent();
    while (!g_stop) {
      wait_for_events();
      if (epoch_ != current_epoch()) restart();
      if (!channel_.connected()) {
        if (greeting_) agent_lost(channel_.end_cause());
        reach_agent();
      }
      while (cut_.step()) quiet_rounds_ = 0;
    }
    if (g_left_behind) return;
    cut_.resume();
    if (channel_.connected()) (void)channel_.send(CKPT_FRAME_FINALIZING, nullptr, 0);
    channel_.disconnect();
  }

 private:
  using Clock = std::chrono::steady_clock;

  // Its doors are always open: whoever closes them is this thread.
  void become_part_of_the_shim() {
    prctl(PR_SET_NAME, "ckpt-shim");
    ThreadState* self = register_thread();
    self->shim = 1;
    self->inside = 1;
    attach();
  }

  void attach() {
    if (ckpt_lower_attach_thread(g_lower, 0) != 0) return;
    std::fprintf(stderr, "ckpt-coord: rank %d: no thread storage in the lower half\n",
                 g_lower->rank);
    std::abort();
  }

  int timeout() {
    if (cut_.driving()) return quiet_rounds_++ < kBusyRounds ? 0 : kDrivingMs;
    if (!channel_.connected()) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(look_again_ - Clock::now());
      return left.count() < 0 ? 0 : static_cast<int>(left.count()) + 1;
    }
    if (cut_.drained()) return kDrainedMs;
    return cut_.held_up() && silence_.bounded() ? static_cast<int>(silence_.tick_ms()) : -1;
  }

  void wait_for_events() {
    pollfd events[2] = {{wakeup_descriptor(), POLLIN, 0}, {channel_.descriptor(), POLLIN, 0}};
    const int ready = poll(events, 2, timeout());
    if (epoch_ != current_epoch() || ready < 0) return;
    if (events[1].revents == 0 && cut_.held_up() && silence_.tick(Clock::now()))
      return agent_lost(Error{"wait for the agent at", socket_,
                              "not heard for " + std::to_string(2 * silence_.silence_ms()) +
                                  " ms while it held up this rank",
                              ETIMEDOUT});
    if (events[0].revents & POLLIN) {
      std::uint64_t count;
      if (read(wakeup_descriptor(), &count, sizeof count) < 0) count = 0;
    }
    if (events[1].revents != 0) take_frame();
  }

  void take_frame() {
    quiet_rounds_ = 0;
    // A copy must not begin by reading from what is another's descriptor there.
    cut_.end_drained();
    if (epoch_ != current_epoch()) return;
    Result<Frame> frame = channel_.receive();
    if (!frame) return agent_lost(frame.error());
    if (frame->type == CKPT_FRAME_WELCOME) return welcomed(*frame);
    if (frame->descriptor >= 0) close(frame->descriptor);
    silence_.heard(Clock::now());
    if (frame->type == CKPT_FRAME_ALIVE)
      silence_.bound(frame->head<ckpt_alive>().silence_ms);
    else
      cut_.handle(*frame);
    cut_.show_drained();
  }

  // The job goes on without; this node's ranks see to it that another one starts.
  // (Also when a send found it gone: that closes the channel and no more.)
  void agent_lost(const Error& error) {
    cut_.end_drained();
    // A copy that was taken a moment before begins here: restart() sees to all else.
    if (epoch_ != current_epoch()) return;
    greeting_ = false;
    g_channel_descriptor = -1;
    channel_.disconnect();
    silence_.reset();
    if (!rebuilding_) cut_.resume();
    drop_status_page();
    look_again_ = Clock::now();
    if (std::exchange(welcomed_, false)) return starter_->lost(error.message());
    look_again_ += std::chrono::milliseconds(starter_->refused(error.message()));
  }

  void reach_agent() {
    if (epoch_ != current_epoch() || Clock::now() < look_again_) return;
    if (!channel_.connect(socket_, g_lower->descriptor_base)) {
      end_when_superseded();
      if (g_stop) return;
      look_again_ = Clock::now() + std::chrono::milliseconds(starter_->nobody_listens());
      return;
    }
    g_channel_descriptor = channel_.descriptor();
    greeting_ = true;
    if (const Status greeted = greet(); !greeted) agent_lost(greeted.error());
  }

  // No agent looks after this rank, and there may be none for ever: this node was
  // cut off, and the job runs elsewhere. Two copies of it must not.
  void end_when_superseded() {
    if (Clock::now() < look_for_newer_) return;
    look_for_newer_ = Clock::now() + std::chrono::seconds(2);
    const char* directory = environment_of_run("CKPT_JOB_DIR");
    const char* mine = environment_of_run(kIncarnationVariable);
    if (!directory || !mine || !superseded(directory, incarnation_of_variable(mine))) return;
    if (g_stop) return;  // storage that hung answered, and the job is over
    std::fprintf(stderr,
                 "ckpt-coord: rank %d: a newer start of the job has taken over; this one "
                 "ends\n",
                 g_lower->rank);
    (void)kill(getpid(), SIGKILL);
  }

  // What this run's mpirun gave the rank: after a restart not the program's own.
  static const char* environment_of_run(std::string_view name) {
    for (char* const* each = g_lower->environment; each && *each; ++each) {
      const std::string_view text = *each;
      if (text.starts_with(name) && text.size() > name.size() && text[name.size()] == '=')
        return *each + name.size() + 1;
    }
    return nullptr;
  }

  // Its WELCOME is not waited for: an agent that hangs must not hold up this
  // thread, and with it MPI_Finalize.
  Status greet() {
    ckpt_hello hello = {};
    hello.version = CKPT_SHIM_CHANNEL_VERSION;
    hello.pid = getpid();
    hello.rank = g_lower->rank;
    hello.world_size = g_lower->world_size;
    hello.restart_block = reinterpret_cast<std::uint64_t>(&g_restart_block);
    hello.epoch = epoch_;
    hello.channel_fd = channel_.descriptor();
    hello.generation = g_restart_block.generation;
    Status sent = channel_.send(CKPT_FRAME_HELLO, hello);
    return sent && epoch_ > 0 && !rebuilding_ ? say_rebuilt() : sent;
  }

  Status say_rebuilt() {
    return channel_.send(CKPT_FRAME_REBUILT, ckpt_generation{g_restart_block.generation});
  }

  void welcomed(const Frame& frame) {
    const auto welcome = frame.head<ckpt_welcome>();
    if (welcome.version != CKPT_SHIM_CHANNEL_VERSION) {
      if (frame.descriptor >= 0) close(frame.descriptor);
      return agent_lost(Error{"greet the agent at", socket_, "it is of another version", 0});
    }
    welcomed_ = true;
    starter_->answered();
    prctl(PR_SET_PTRACER, static_cast<unsigned long>(welcome.agent_pid));
    if (frame.descriptor >= 0) map_status_page(frame.descriptor);
  }

  // In the arena, so that no image holds it.
  void map_status_page(int descriptor) {
    void* page =
        ckpt_arena_map(sizeof(ckpt_status_page), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    const auto address = reinterpret_cast<std::uint64_t>(page);
    drop_status_page();
    page_ = ckpt_in_arena(address) ? static_cast<ckpt_status_page*>(page) : nullptr;
    cut_.set_status_page(page_);
  }

  void drop_status_page() {
    cut_.set_status_page(nullptr);
    if (page_) munmap(page_, sizeof *page_);
    page_ = nullptr;
  }

  // The memory is the image's, the lower half is new, descriptors are gone.
  void restart() {
    epoch_ = current_epoch();
    use_lower_table(static_cast<ckpt_lower_table*>(g_restart_block.lower_table));
    channel_.forget();
    g_channel_descriptor = -1;
    greeting_ = welcomed_ = false;
    rebuilding_ = true;
    silence_.reset();
    cut_.end_drained();
    cut_.set_status_page(nullptr);
    page_ = nullptr;  // was the old process's
    attach();
    make_wakeup(g_lower->descriptor_base);
    socket_ = g_restart_block.agent_socket;
    starter_.emplace(socket_, g_lower->environment, g_lower->descriptor_base);
    look_again_ = Clock::now();
    reach_agent();
    cut_.show(CKPT_RANK_REBUILDING);
    std::string failed;
    if (make_private_comms() != MPI_SUCCESS) failed = "the shim's communicators";
    if (failed.empty()) failed = rebuild_objects();
    if (failed.empty()) failed = rebuild_requests();
    if (!failed.empty()) {
      std::fprintf(stderr, "ckpt-coord: rank %d: cannot rebuild %s\n", g_lower->rank,
                   failed.c_str());
      lower::Abort(g_private.world, 1);
      std::abort();
    }
    cut_.resume();
    rebuilding_ = false;
    if (channel_.connected()) (void)say_rebuilt();  // else with the next HELLO
  }

  std::string socket_;
  AgentChannel channel_;
  RankCut cut_;
  std::uint32_t epoch_ = current_epoch();
  std::optional<AgentStarter> starter_;
  Clock::time_point look_again_{};      // for an agent
  Clock::time_point look_for_newer_{};  // start of the job
  bool greeting_ = false;               // HELLO was sent, and the agent not found gone since
  bool welcomed_ = false;               // and it has answered
  AgentSilence silence_;
  ckpt_status_page* page_ = nullptr;
  bool rebuilding_ = false;
  int quiet_rounds_ = 0;
};

void* run_shim_thread(void* agent_socket) {
  ShimThread(static_cast<const char*>(agent_socket)).run();
  return nullptr;
}

// A child of the program has no part in the job: the agent must see the channel
// end with the rank, not with the rank's children.
void forget_in_child() {
  g_stop = true;
  if (g_channel_descriptor >= 0) close(g_channel_descriptor);
  forget_agent_lock_in_child();
}

}  // namespace

bool start_shim_thread(const char* agent_socket) {
  if (!make_wakeup(g_lower->descriptor_base)) return false;
  pthread_atfork(nullptr, nullptr, forget_in_child);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int code =
      pthread_create(&g_thread, &attributes, run_shim_thread, const_cast<char*>(agent_socket));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return code == 0;
}

void stop_shim_thread() {
  g_stop = true;
  wake_shim_thread();
  timespec until = {};
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += kStopS;
  if (pthread_clockjoin_np(g_thread, nullptr, CLOCK_MONOTONIC, &until) == 0) return;
  // It looks for an agent, on storage that hangs, and has nothing else in hand: all it
  // touches afterwards is its own stack.
  g_left_behind = true;
  pthread_detach(g_thread);
}

}  // namespace ckpt::shim
