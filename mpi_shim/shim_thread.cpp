#include "mpi_shim/shim_thread.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "lower_calls.hpp"
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
constexpr int kReconnectMs = 1000;
// A restart puts this thread back into poll() on descriptors that are others'
// by then; it must not wait there for ever.
constexpr int kDrainedMs = 50;
// Between rounds of driving the lower half when nothing moves.
constexpr int kDrivingMs = 1;
constexpr int kBusyRounds = 200;

volatile bool g_stop = false;
volatile int g_channel_descriptor = -1;  // for a child of the program to close
pthread_t g_thread;

class ShimThread {
 public:
  explicit ShimThread(const char* agent_socket)
      : socket_(agent_socket), cut_(channel_, g_lower->rank, g_lower->world_size) {}

  void run() {
    become_part_of_the_shim();
    reach_agent();
    while (!g_stop) {
      wait_for_events();
      if (epoch_ != current_epoch()) restart();
      if (!channel_.connected()) {
        if (greeted_) agent_lost(Error{"send to the agent", socket_, "it is gone", 0});
        reach_agent();
      }
      while (cut_.step()) quiet_rounds_ = 0;
    }
    cut_.resume();
    if (channel_.connected()) (void)channel_.send(CKPT_FRAME_FINALIZING, nullptr, 0);
    channel_.disconnect();
  }

 private:
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
    if (!channel_.connected()) return kReconnectMs;
    return cut_.drained() ? kDrainedMs : -1;
  }

  void wait_for_events() {
    pollfd events[2] = {{wakeup_descriptor(), POLLIN, 0}, {channel_.descriptor(), POLLIN, 0}};
    const int ready = poll(events, 2, timeout());
    if (epoch_ != current_epoch() || ready <= 0) return;
    if (events[0].revents & POLLIN) {
      std::uint64_t count;
      if (read(wakeup_descriptor(), &count, sizeof count) < 0) count = 0;
    }
    if (events[1].revents != 0) take_frame();
  }

  void take_frame() {
    quiet_rounds_ = 0;
    Result<Frame> frame = channel_.receive();
    if (!frame) return agent_lost(frame.error());
    if (frame->descriptor >= 0) close(frame->descriptor);
    cut_.handle(*frame);
  }

  // The job goes on without; another agent may listen there later.
  // (Also when a send found it gone: that closes the channel and no more.)
  void agent_lost(const Error& error) {
    greeted_ = false;
    g_channel_descriptor = -1;
    channel_.disconnect();
    cut_.set_status_page(nullptr);
    cut_.resume();
    if (!std::exchange(complained_, true))
      std::fprintf(stderr, "ckpt-coord: rank %d: %s; the job goes on\n", g_lower->rank,
                   error.message().c_str());
  }

  void reach_agent() {
    if (!channel_.connect(socket_, g_lower->descriptor_base)) return;
    g_channel_descriptor = channel_.descriptor();
    const Status greeted = greet();
    if (!greeted) return agent_lost(greeted.error());
    greeted_ = true;
    complained_ = false;
  }

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
    if (!sent) return sent;
    Result<Frame> answer = channel_.receive();
    if (!answer) return Failure(answer.error());
    const auto welcome = answer->head<ckpt_welcome>();
    if (answer->type != CKPT_FRAME_WELCOME || welcome.version != CKPT_SHIM_CHANNEL_VERSION) {
      if (answer->descriptor >= 0) close(answer->descriptor);
      return fail("greet the agent at", socket_, "it is of another version");
    }
    prctl(PR_SET_PTRACER, static_cast<unsigned long>(welcome.agent_pid));
    if (answer->descriptor >= 0) map_status_page(answer->descriptor);
    return {};
  }

  // In the arena, so that no image holds it.
  void map_status_page(int descriptor) {
    void* page = ckpt_arena_map(sizeof(ckpt_status_page), PROT_READ | PROT_WRITE, MAP_SHARED,
                                descriptor, 0);
    close(descriptor);
    const auto address = reinterpret_cast<std::uint64_t>(page);
    cut_.set_status_page(ckpt_in_arena(address) ? static_cast<ckpt_status_page*>(page) : nullptr);
  }

  // The memory is the image's, the lower half is new, descriptors are gone.
  void restart() {
    epoch_ = current_epoch();
    use_lower_table(static_cast<ckpt_lower_table*>(g_restart_block.lower_table));
    channel_.forget();
    greeted_ = false;
    cut_.set_status_page(nullptr);
    attach();
    make_wakeup(g_lower->descriptor_base);
    socket_ = g_restart_block.agent_socket;
    complained_ = false;
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
    const ckpt_generation generation = {g_restart_block.generation};
    if (channel_.connected()) (void)channel_.send(CKPT_FRAME_REBUILT, generation);
  }

  std::string socket_;
  AgentChannel channel_;
  RankCut cut_;
  std::uint32_t epoch_ = current_epoch();
  bool greeted_ = false;  // an agent answered, and was not found gone since
  bool complained_ = false;
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
  const int code = pthread_create(&g_thread, &attributes, run_shim_thread,
                                  const_cast<char*>(agent_socket));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return code == 0;
}

void stop_shim_thread() {
  g_stop = true;
  wake_shim_thread();
  pthread_join(g_thread, nullptr);
}

}  // namespace ckpt::shim
