// ckpt-restorer: the freestanding half of a restart. See README.md here.
#include "agent/restorer/address_space.hpp"
#include "agent/restorer/contents.hpp"
#include "agent/restorer/process_state.hpp"
#include "agent/restorer/report.hpp"
#include "agent/restorer/restore_plan.h"
#include "agent/restorer/threads.hpp"
#include "mpi_shim/host/raw_syscalls.h"

namespace ckpt::restorer {
namespace {

void close_what_the_program_had_closed(const ckpt_restore_plan& plan) {
  for (int fd = 0; fd < 3; ++fd) {
    if ((plan.standard_closed >> fd & 1u) != 0) raw::close(fd);
  }
}

[[noreturn]] void restore(ckpt_restore_plan& plan) {
  enter_stage(plan, CKPT_STAGE_detach);
  detach_from_libc(plan);
  enter_stage(plan, CKPT_STAGE_unmap);
  unmap_outside_arena(plan);
  enter_stage(plan, CKPT_STAGE_vdso);
  move_vdso(plan);
  enter_stage(plan, CKPT_STAGE_layout);
  set_layout(plan);
  enter_stage(plan, CKPT_STAGE_map);
  map_regions(plan);
  enter_stage(plan, CKPT_STAGE_contents);
  read_contents(plan);
  enter_stage(plan, CKPT_STAGE_protect);
  protect_regions(plan);
  enter_stage(plan, CKPT_STAGE_files);
  place_descriptors(plan);
  enter_stage(plan, CKPT_STAGE_lower);
  tell_progress(plan, CKPT_RESTART_REBUILDING, plan.payload_pages * 4096);
  ckpt_lower_table* table = load_lower_half(plan);
  remove_meeting_names(plan);
  enter_stage(plan, CKPT_STAGE_signals);
  set_signal_actions(plan);
  enter_stage(plan, CKPT_STAGE_threads);
  start_threads(plan);
  ckpt_plan_thread& leader = plan.threads[0];
  adopt_thread(plan, leader);
  enter_stage(plan, CKPT_STAGE_timers);
  make_timers(plan);
  queue_pending_signals(plan);
  enter_stage(plan, CKPT_STAGE_resume);
  fill_restart_block(plan, table);
  close_what_the_program_had_closed(plan);
  start_interval_timers(plan);
  raw::close(plan.message_fd);
  tell_progress(plan, CKPT_RESTART_CONTINUED, plan.payload_pages * 4096);
  if (plan.progress_fd >= 0) raw::close(plan.progress_fd);
  if (plan.scratch_size != 0) raw::munmap(plan.scratch_start, plan.scratch_size);
  let_all_go(plan);
  continue_thread(plan, leader);
}

}  // namespace
}  // namespace ckpt::restorer

extern "C" [[noreturn]] void ckpt_restorer_main(ckpt_restore_plan* plan) {
  ckpt::restorer::restore(*plan);
}
