#include "agent/restorer/process_state.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/restorer/report.hpp"
#include "format/wire/shim_channel.h"
#include "mpi_shim/host/raw_syscalls.h"
#include "mpi_shim/host/text.hpp"

namespace ckpt::restorer {
namespace {

constexpr long kTimerRestoreIds = 77;  // PR_TIMER_CREATE_RESTORE_IDS, Linux 6.15
constexpr int32_t kTimerTriesMax = 1 << 20;

struct Times {  // struct itimerspec
  int64_t interval_s, interval_ns, value_s, value_ns;
};

Times times_of(const ckpt_plan_timer& timer) {
  constexpr int64_t kSecond = 1000000000;
  return {timer.interval_ns / kSecond, timer.interval_ns % kSecond, timer.value_ns / kSecond,
          timer.value_ns % kSecond};
}

long create_timer(const ckpt_restore_plan& plan, const ckpt_plan_timer& timer, int32_t& id) {
  struct {
    uint64_t value;
    int32_t signal, notify, thread, padding[11];
  } event{};
  static_assert(sizeof event == 64, "struct sigevent");
  event.value = timer.value_pointer;
  event.signal = timer.signal;
  event.notify = timer.notify;
  if (timer.notify_thread >= 0) {
    event.thread = timer.notify_thread == 0 ? static_cast<int32_t>(raw::call(SYS_getpid))
                                            : plan.threads[timer.notify_thread].new_tid;
  }
  return raw::call(SYS_timer_create, timer.clock, raw::word(&event), raw::word(&id));
}

// Older kernels number timers one after the other: those below are made and
// deleted until the number comes.
void create_by_counting(const ckpt_restore_plan& plan, const ckpt_plan_timer& timer) {
  for (int32_t tries = 0; tries < kTimerTriesMax; ++tries) {
    int32_t id = -1;
    must(plan, "timer_create id", static_cast<uint64_t>(timer.id), create_timer(plan, timer, id));
    if (id == timer.id) return;
    raw::call(SYS_timer_delete, id);
    if (id > timer.id) break;
  }
  die(plan, "timer_create cannot reach id", static_cast<uint64_t>(timer.id), -EBUSY);
}

// The program's arguments, as they lie in its restored memory.
uint32_t program_arguments(const ckpt_restore_plan& plan, char** to, uint32_t room) {
  uint32_t count = 0;
  uint64_t at = plan.layout.arg_start;
  while (at < plan.layout.arg_end && count + 1 < room) {
    to[count++] = reinterpret_cast<char*>(at);
    while (at < plan.layout.arg_end && *reinterpret_cast<const char*>(at) != 0) ++at;
    ++at;
  }
  to[count] = nullptr;
  return count;
}

}  // namespace

void place_descriptors(const ckpt_restore_plan& plan) {
  for (uint32_t i = 0; i < plan.descriptor_count; ++i) {
    const ckpt_plan_descriptor& one = plan.descriptors[i];
    const uint64_t subject = static_cast<uint64_t>(one.number);
    must(plan, "dup3 to descriptor", subject,
         raw::call(SYS_dup3, one.source, one.number, one.close_on_exec != 0 ? O_CLOEXEC : 0));
    if (one.truncate != 0) {
      const long end =
          must(plan, "lseek descriptor", subject, raw::call(SYS_lseek, one.number, 0, SEEK_END));
      if (static_cast<uint64_t>(end) > one.size) {
        must(plan, "ftruncate descriptor", subject,
             raw::call(SYS_ftruncate, one.number, raw::word(one.size)));
      }
    }
    if (one.offset >= 0) {
      must(plan, "lseek descriptor", subject,
           raw::call(SYS_lseek, one.number, raw::word(one.offset), SEEK_SET));
    }
  }
  for (uint32_t i = 0; i < plan.parked_count; ++i) raw::close(plan.parked[i]);
}

void remove_meeting_names(const ckpt_restore_plan& plan) {
  for (uint32_t i = 0; i < plan.name_count; ++i) {
    // Another rank may have been first.
    raw::call(SYS_unlink, raw::word(plan.names_to_remove[i]));
  }
}

ckpt_lower_table* load_lower_half(const ckpt_restore_plan& plan) {
  if (plan.restart_block == 0) return nullptr;
  constexpr uint32_t kArguments = 256;
  char* arguments[kArguments];
  program_arguments(plan, arguments, kArguments);
  ckpt_lower_request request{};
  request.parts_dir = plan.parts_dir;
  request.cache_dir = plan.cache_dir;
  request.argv = arguments;
  request.envp = plan.environment;
  request.thread_multiple = plan.thread_multiple;
  request.vdso = plan.vdso;
  ckpt_lower_table* table = nullptr;
  ckpt_lower_error error{};
  const int result = ckpt_lower_load(&request, &table, &error);
  if (result == 0 && table->init_error == 0) return table;
  if (result == 0) {
    die(plan, "MPI_Init of the lower half: MPI error", static_cast<uint64_t>(table->init_error), 0);
  }
  char text[560];
  lower::Text line(text, sizeof text);
  line.add(error.text[0] != 0 ? error.text : "load the lower half").add(": errno ");
  line.decimal(static_cast<uint64_t>(-result));
  die_text(plan, text);
}

void set_signal_actions(const ckpt_restore_plan& plan) {
  for (int signal = 1; signal <= 64; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    const ckpt_plan_sigaction& action = plan.signal_actions[signal - 1];
    if (ckpt_in_arena(action.handler)) continue;
    must(plan, "rt_sigaction signal", static_cast<uint64_t>(signal),
         raw::call(SYS_rt_sigaction, signal, raw::word(&action), 0, sizeof(uint64_t)));
  }
}

void make_timers(const ckpt_restore_plan& plan) {
  if (plan.timer_count == 0) return;
  const bool by_id = !raw::failed(raw::call(SYS_prctl, kTimerRestoreIds, 1, 0, 0, 0));
  for (uint32_t i = 0; i < plan.timer_count; ++i) {
    const ckpt_plan_timer& timer = plan.timers[i];
    if (by_id) {
      int32_t id = timer.id;
      must(plan, "timer_create id", static_cast<uint64_t>(timer.id), create_timer(plan, timer, id));
    } else {
      create_by_counting(plan, timer);
    }
  }
  if (by_id) raw::call(SYS_prctl, kTimerRestoreIds, 0, 0, 0, 0);
}

void queue_pending_signals(const ckpt_restore_plan& plan) {
  for (uint32_t i = 0; i < plan.pending_count; ++i) {
    const uint8_t* info = plan.pending + uint64_t{i} * 128;
    const int signal = *reinterpret_cast<const int*>(info);
    must(plan, "rt_sigqueueinfo signal", static_cast<uint64_t>(signal),
         raw::call(SYS_rt_sigqueueinfo, raw::call(SYS_getpid), signal, raw::word(info)));
  }
}

void start_interval_timers(const ckpt_restore_plan& plan) {
  for (uint32_t i = 0; i < plan.timer_count; ++i) {
    const ckpt_plan_timer& timer = plan.timers[i];
    const Times times = times_of(timer);
    must(plan, "timer_settime id", static_cast<uint64_t>(timer.id),
         raw::call(SYS_timer_settime, timer.id, 0, raw::word(&times), 0));
  }
  for (int which = 0; which < 3; ++which) {
    const int64_t interval = plan.interval_timers_us[which][0];
    const int64_t value = plan.interval_timers_us[which][1];
    if (interval == 0 && value == 0) continue;
    constexpr int64_t kSecond = 1000000;
    const int64_t times[4] = {interval / kSecond, interval % kSecond, value / kSecond,
                              value % kSecond};
    must(plan, "setitimer", static_cast<uint64_t>(which),
         raw::call(SYS_setitimer, which, raw::word(times), 0));
  }
}

void fill_restart_block(const ckpt_restore_plan& plan, ckpt_lower_table* table) {
  if (plan.restart_block == 0) return;
  auto* block = reinterpret_cast<ckpt_restart_block*>(plan.restart_block);
  if (block->magic != CKPT_RESTART_BLOCK_MAGIC) {
    die(plan, "no restart block at", plan.restart_block, -EINVAL);
  }
  block->lower_table = table;
  block->generation = plan.generation;
  memcpy(block->agent_socket, plan.agent_socket, sizeof block->agent_socket);
  __atomic_store_n(&block->epoch, block->epoch + 1, __ATOMIC_RELEASE);
}

}  // namespace ckpt::restorer
